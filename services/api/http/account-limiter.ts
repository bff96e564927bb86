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

/**
 * The limits of each account: requests per second, bytes of bodies per second, and concurrent requests and downloads.
 *
 * Every method takes the account of the request. Undefined is the operator, who is not limited. Requests without a key are
 * not limited either: probes are answered whatever customers do.
 */
export interface AccountLimiter {
  /** Counts requests by their key before the key is looked up, so that those over the rate cost no query. */
  limitKeys(keys: KeyStore): KeyStore;
  /** Counts a request and lets it in. @throws AppError `too_many` */
  admit(accountId: string | undefined): Promise<Release>;
  /** Charges a body before it is read: its declared length, or 1 without one. @throws AppError `too_many` */
  chargeBody(accountId: string | undefined, bytes: number): Promise<void>;
  /** Charges the bytes that were read of a body without a declared length. */
  chargeRead(accountId: string | undefined, bytes: number): Promise<void>;
  /** Waits until the account may run one more request, in the order of its requests. @throws AppError `too_many` */
  run(accountId: string | undefined): Promise<Release>;
  /** Lets a download begin; release it when the file is sent. @throws AppError `too_many` */
  download(accountId: string | undefined): Promise<Release>;
}

/** Bytes of JSON bodies of one account: some of the largest, or many small ones. Reading a large body takes some 20 ms. */
const BODY_BYTES = { points: 8 * 1_024 * 1_024, duration: 2 };

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
  const consume = async (limiter: RateLimiterMemory, key: string, points: number, exceeded: string) => {
    try {
      await limiter.consume(key, points);
    } catch (error) {
      if (!(error instanceof RateLimiterRes)) throw error;
      throw tooMany(exceeded, Math.ceil(error.msBeforeNext / 1_000));
    }
  };
  const count = (key: string) => consume(rates, key, 1, `more than ${requestsPerSecond} requests per second`);
  return {
    limitKeys: (keys) => ({
      async findKey(keyHash) {
        await count(`key:${keyHash.toString('base64')}`);
        return keys.findKey(keyHash);
      },
    }),
    async admit(accountId) {
      if (accountId === undefined) return nothing;
      await count(`account:${accountId}`);
      return open.acquire(accountId);
    },
    async chargeBody(accountId, bytes) {
      if (accountId === undefined || bytes === 0) return;
      const rate = BODY_BYTES.points / BODY_BYTES.duration;
      await consume(bodies, accountId, bytes, `bodies of more than ${rate} bytes per second`);
    },
    async chargeRead(accountId, bytes) {
      if (accountId !== undefined && bytes > 0) await bodies.penalty(accountId, bytes);
    },
    run: async (accountId) => (accountId === undefined ? nothing : running.acquire(accountId)),
    download: async (accountId) => (accountId === undefined ? nothing : downloads.acquire(accountId)),
  };
}

function tooMany(exceeded: string, retryAfterSeconds: number): AppError {
  return new AppError('too_many', `This account exceeds its limit: ${exceeded}. Slow down and try again.`, {
    retryAfterSeconds,
  });
}
