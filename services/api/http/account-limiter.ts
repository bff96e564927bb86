import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { AppError } from '../../../shared/runtime/errors.ts';
import type { KeyStore } from './caller.ts';
import { createConcurrencyLimiter, type Release } from './concurrency-limiter.ts';

/** What one account may ask of one process, so that other accounts hardly notice. */
export interface AccountRequestLimits {
  /** Of one key, and of all keys of an account together. */
  readonly requestsPerSecond: number;
  /** Requests that are read, wait or run. More are refused. */
  readonly maxOpen: number;
  /** Requests that run: fewer than the control store has connections. The others wait for one of these to end. */
  readonly maxRunning: number;
  /** Files that are sent at once, of any kind. */
  readonly maxDownloads: number;
}

/** A request that is refused by its key alone. */
export interface Refusal {
  readonly error: AppError;
  /** Counts the refusals of this key since its limit was exceeded, from 1. */
  readonly count: number;
}

/**
 * The limits of each account: requests per second, bytes of bodies per second, and concurrent requests and downloads.
 *
 * Every method takes the account of the request. Undefined is the operator, who is not limited. Requests without a key are
 * not limited either: probes are answered whatever customers do.
 */
export interface AccountLimiter {
  /**
   * Why a request of this key is refused unread: the key has exceeded a rate, which does not allow more yet. `bytes` is the
   * declared length of the body. Undefined while the key may send.
   */
  refusalOf(keyPrint: string, bytes: number): Refusal | undefined;
  /** Counts requests by their key before the key is looked up, so that those over the rate cost no query. */
  limitKeys(keys: KeyStore): KeyStore;
  /** Counts a request and lets it in. @throws AppError `too_many` */
  admit(accountId: string | undefined, keyPrint?: string): Promise<Release>;
  /** Charges a body before it is read: its declared length, or 1 without one. @throws AppError `too_many` */
  chargeBody(accountId: string | undefined, bytes: number, keyPrint?: string): Promise<void>;
  /** Charges the bytes that were read of a body without a declared length. */
  chargeRead(accountId: string | undefined, bytes: number): Promise<void>;
  /** Waits until the account may run one more request, in the order of its requests. @throws AppError `too_many` */
  run(accountId: string | undefined): Promise<Release>;
  /** Lets a download begin; release it when the file is sent. @throws AppError `too_many` */
  download(accountId: string | undefined): Promise<Release>;
}

/** Bytes of JSON bodies of one account: some of the largest, or many small ones. Reading a large body takes some 20 ms. */
const BODY_BYTES = { points: 8 * 1_024 * 1_024, duration: 2 };

/** Smaller bodies are never refused by the key alone: the rate may still allow their size. */
const LARGE_BODY_BYTES = 64 * 1_024;

/** Longer than any request takes, so that only an account that sends too many requests waits in vain. */
const WAIT_MS = 30_000;

/** A download that its client does not read ends after some 30 s. */
const DOWNLOAD_RETRY_SECONDS = 5;

const nothing: Release = () => undefined;

export function createAccountLimiter({
  requestsPerSecond,
  maxOpen,
  maxRunning,
  maxDownloads,
}: AccountRequestLimits): AccountLimiter {
  const rates = new RateLimiterMemory({ points: requestsPerSecond, duration: 1 });
  const bodies = new RateLimiterMemory(BODY_BYTES);
  const open = createConcurrencyLimiter({ perAccount: maxOpen }, () =>
    tooMany(`more than ${maxOpen} requests at once`, 1),
  );
  const running = createConcurrencyLimiter({ perAccount: maxRunning, waitMs: WAIT_MS }, () =>
    tooMany('more requests than it may run at once', 1),
  );
  const downloads = createConcurrencyLimiter({ perAccount: maxDownloads }, () =>
    tooMany(`more than ${maxDownloads} files at once`, DOWNLOAD_RETRY_SECONDS),
  );
  const overRate = createRefusedKeys();
  const overBytes = createRefusedKeys();
  /** When the limit is exceeded, `refused` refuses the key for as long as the limiter would. */
  const consume = async (
    limiter: RateLimiterMemory,
    key: string,
    points: number,
    exceeded: string,
    [refused, keyPrint]: readonly [RefusedKeys, string | undefined],
  ) => {
    try {
      await limiter.consume(key, points);
    } catch (error) {
      if (!(error instanceof RateLimiterRes)) throw error;
      const refusal = tooMany(exceeded, Math.ceil(error.msBeforeNext / 1_000));
      if (keyPrint !== undefined) refused.add(keyPrint, refusal, error.msBeforeNext);
      throw refusal;
    }
  };
  const count = (key: string, keyPrint: string | undefined) =>
    consume(rates, key, 1, `more than ${requestsPerSecond} requests per second`, [overRate, keyPrint]);
  return {
    refusalOf: (keyPrint, bytes) =>
      overRate.next(keyPrint) ?? (bytes > LARGE_BODY_BYTES ? overBytes.next(keyPrint) : undefined),
    limitKeys: (keys) => ({
      async findKey(keyHash) {
        const keyPrint = keyHash.toString('base64');
        await count(`key:${keyPrint}`, keyPrint);
        return keys.findKey(keyHash);
      },
    }),
    async admit(accountId, keyPrint) {
      if (accountId === undefined) return nothing;
      await count(`account:${accountId}`, keyPrint);
      return open.acquire(accountId);
    },
    async chargeBody(accountId, bytes, keyPrint) {
      if (accountId === undefined || bytes === 0) return;
      const rate = BODY_BYTES.points / BODY_BYTES.duration;
      const exceeded = `bodies of more than ${rate} bytes per second`;
      // A body that is allowed to be larger than the rate takes all of it, rather than never getting through.
      await consume(bodies, accountId, Math.min(bytes, BODY_BYTES.points), exceeded, [overBytes, keyPrint]);
    },
    async chargeRead(accountId, bytes) {
      if (accountId !== undefined && bytes > 0) await bodies.penalty(accountId, bytes);
    },
    run: async (accountId) => (accountId === undefined ? nothing : running.acquire(accountId)),
    download: async (accountId) => (accountId === undefined ? nothing : downloads.acquire(accountId)),
  };
}

/** Keys that have exceeded a limit, for as long as it does not allow more. */
interface RefusedKeys {
  add(keyPrint: string, error: AppError, ms: number): void;
  next(keyPrint: string): Refusal | undefined;
}

function createRefusedKeys(): RefusedKeys {
  const refused = new Map<string, { readonly error: AppError; count: number }>();
  return {
    add(keyPrint, error, ms) {
      if (refused.has(keyPrint)) return;
      refused.set(keyPrint, { error, count: 0 });
      setTimeout(() => refused.delete(keyPrint), ms).unref();
    },
    next(keyPrint) {
      const known = refused.get(keyPrint);
      if (known === undefined) return undefined;
      known.count += 1;
      return { error: known.error, count: known.count };
    },
  };
}

function tooMany(exceeded: string, retryAfterSeconds: number): AppError {
  return new AppError('too_many', `This account exceeds its limit: ${exceeded}. Slow down and try again.`, {
    retryAfterSeconds,
  });
}
