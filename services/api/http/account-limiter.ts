import { setTimeout as delay } from 'node:timers/promises';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { AppError } from '../../../shared/runtime/errors.ts';
import type { KeyStore } from './caller.ts';
import { createConcurrencyLimiter, type Release } from './concurrency-limiter.ts';
import { createPacer } from './pacer.ts';
import {
  RateExceededError,
  type RatePolicy,
  type RateState,
  rateLimitFields,
  WINDOW_SECONDS,
} from './rate-limit-fields.ts';

/** What one account may ask of one process, so that other accounts hardly notice. */
export interface AccountRequestLimits {
  /** Of one key, and of all keys of an account together. */
  readonly requestsPerSecond: number;
  /** Of one key. Downloads do not count. 0: unlimited. */
  readonly requestsPerMinute: number;
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
  /** Downloads of the key are not refused. */
  readonly sparesDownloads: boolean;
}

/**
 * The limits of each account: requests per second and minute, bytes of bodies per second, and concurrent requests and
 * downloads.
 *
 * Every method takes the account of the request. Undefined is the operator, who is not limited. Requests without a key are
 * not limited either: probes are answered whatever customers do.
 */
export interface AccountLimiter {
  readonly limits: AccountRequestLimits;
  /**
   * Why a request of this key is refused unread: the key has exceeded a rate, which does not allow more yet, or its account
   * has as many open requests as it may. `bytes` is the declared length of the body. Undefined while the key may send.
   */
  refusalOf(keyPrint: string, bytes: number): Refusal | undefined;
  /** Counts requests by their key before the key is looked up, so that those over the rate cost no query. */
  limitKeys(keys: KeyStore): KeyStore;
  /** Counts a request that is no download among those of its key in a minute. @throws AppError `too_many` */
  countKey(accountId: string | undefined, keyPrint: string): Promise<void>;
  /** Headers that tell a client what its rates still allow; none for the operator. */
  rateLimitOf(accountId: string | undefined, keyPrint: string): Promise<Readonly<Record<string, string>>>;
  /**
   * Counts a request and lets it in. Beyond a burst, requests of an account begin evenly spaced at its rate: all requests of a
   * second at once would hold up other accounts for as long as they take.
   *
   * @throws AppError `too_many`
   */
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

const MAX_CROWDED_KEYS = 10_000;

const nothing: Release = () => undefined;

export function createAccountLimiter(limits: AccountRequestLimits): AccountLimiter {
  const { requestsPerSecond, requestsPerMinute, maxOpen, maxRunning, maxDownloads } = limits;
  const burst: RatePolicy = { name: 'burst', quota: requestsPerSecond, per: 'second' };
  const lasting: RatePolicy = { name: 'default', quota: requestsPerMinute, per: 'minute' };
  const policies = requestsPerMinute === 0 ? [burst] : [lasting, burst];
  const rates = toLimiter(burst);
  const minutes = requestsPerMinute === 0 ? undefined : toLimiter(lasting);
  const bodies = new RateLimiterMemory(BODY_BYTES);
  const tooManyOpen = () => tooMany(`more than ${maxOpen} requests at once`, 1);
  const open = createConcurrencyLimiter({ perAccount: maxOpen }, tooManyOpen);
  const running = createConcurrencyLimiter({ perAccount: maxRunning, waitMs: WAIT_MS }, () =>
    tooMany('more requests than it may run at once', 1),
  );
  const pace = createPacer(requestsPerSecond);
  const downloads = createConcurrencyLimiter({ perAccount: maxDownloads }, () =>
    tooMany(`more than ${maxDownloads} files at once`, DOWNLOAD_RETRY_SECONDS),
  );
  const overRate = createRefusedKeys(false);
  const overBytes = createRefusedKeys(false);
  const overMinute = createRefusedKeys(true);
  const overOpen = createCrowdedKeys((accountId) => open.isFull(accountId), tooManyOpen());
  /** When the limit is exceeded, `refused` refuses the key for as long as the limiter would. */
  const consume = async (
    limiter: RateLimiterMemory,
    key: string,
    points: number,
    refusal: (ms: number) => AppError,
    [refused, keyPrint]: readonly [RefusedKeys, string | undefined],
  ) => {
    try {
      await limiter.consume(key, points);
    } catch (error) {
      if (!(error instanceof RateLimiterRes)) throw error;
      if (keyPrint !== undefined) refused.add(keyPrint, refusal, error.msBeforeNext);
      throw refusal(error.msBeforeNext);
    }
  };
  const exceeds = (whose: string, policy: RatePolicy) => (ms: number) =>
    new RateExceededError(whose, policies, { policy, remaining: 0, resetsInMs: ms });
  const count = (key: string, keyPrint: string | undefined) =>
    consume(rates, key, 1, exceeds('This account', burst), [overRate, keyPrint]);
  return {
    limits,
    refusalOf: (keyPrint, bytes) =>
      overRate.find(keyPrint) ??
      overOpen.find(keyPrint) ??
      (bytes > LARGE_BODY_BYTES ? overBytes.find(keyPrint) : undefined) ??
      overMinute.find(keyPrint),
    limitKeys: (keys) => ({
      async findKey(keyHash) {
        const keyPrint = keyHash.toString('base64');
        await count(`key:${keyPrint}`, keyPrint);
        return keys.findKey(keyHash);
      },
    }),
    async countKey(accountId, keyPrint) {
      if (accountId === undefined || minutes === undefined) return;
      await consume(minutes, keyPrint, 1, exceeds('This key', lasting), [overMinute, keyPrint]);
    },
    async rateLimitOf(accountId, keyPrint) {
      if (accountId === undefined) return {};
      const states = [
        ...(minutes === undefined ? [] : [stateOf(lasting, await minutes.get(keyPrint))]),
        stateOf(burst, await rates.get(`account:${accountId}`)),
      ];
      return rateLimitFields(policies, states);
    },
    async admit(accountId, keyPrint) {
      if (accountId === undefined) return nothing;
      await count(`account:${accountId}`, keyPrint);
      if (keyPrint !== undefined && open.isFull(accountId)) overOpen.add(keyPrint, accountId);
      const release = await open.acquire(accountId);
      const waitMs = pace(accountId, performance.now());
      // Node rounds a shorter wait up to a millisecond, which would halve a high rate.
      if (waitMs >= 1) await delay(waitMs);
      return release;
    },
    async chargeBody(accountId, bytes, keyPrint) {
      if (accountId === undefined || bytes === 0) return;
      const rate = BODY_BYTES.points / BODY_BYTES.duration;
      const exceeded = (ms: number) =>
        tooMany(`bodies of more than ${rate} bytes per second`, Math.ceil(ms / 1_000));
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

function toLimiter({ quota, per }: RatePolicy): RateLimiterMemory {
  return new RateLimiterMemory({ points: quota, duration: WINDOW_SECONDS[per] });
}

/** @param found null before the first request of a window */
function stateOf(policy: RatePolicy, found: RateLimiterRes | null): RateState {
  return {
    policy,
    remaining: found?.remainingPoints ?? policy.quota,
    resetsInMs: found?.msBeforeNext ?? WINDOW_SECONDS[policy.per] * 1_000,
  };
}

/** Keys that have exceeded a limit, for as long as it does not allow more. */
interface RefusedKeys {
  /** @param refusal makes the error, with the time that is left */
  add(keyPrint: string, refusal: (ms: number) => AppError, ms: number): void;
  find(keyPrint: string): Refusal | undefined;
}

function createRefusedKeys(sparesDownloads: boolean): RefusedKeys {
  interface Refused {
    readonly refusal: (ms: number) => AppError;
    readonly untilMs: number;
    secondsLeft: number;
    last: Refusal | undefined;
  }
  const refused = new Map<string, Refused>();
  return {
    add(keyPrint, refusal, ms) {
      if (refused.has(keyPrint)) return;
      refused.set(keyPrint, { refusal, untilMs: performance.now() + ms, secondsLeft: 0, last: undefined });
      setTimeout(() => refused.delete(keyPrint), ms).unref();
    },
    find(keyPrint) {
      const known = refused.get(keyPrint);
      if (known === undefined) return undefined;
      // An error collects the stack, which takes longer than the rest of this. It says the same for a second.
      const leftMs = known.untilMs - performance.now();
      const secondsLeft = Math.ceil(leftMs / 1_000);
      if (known.last === undefined || secondsLeft !== known.secondsLeft) {
        known.last = { error: known.refusal(leftMs), sparesDownloads };
        known.secondsLeft = secondsLeft;
      }
      return known.last;
    },
  };
}

/** Keys of accounts that had as many open requests as they may when one more came. */
interface CrowdedKeys {
  add(keyPrint: string, accountId: string): void;
  /** Undefined once the account has room again. */
  find(keyPrint: string): Refusal | undefined;
}

function createCrowdedKeys(isFull: (accountId: string) => boolean, error: AppError): CrowdedKeys {
  const crowded = new Map<string, string>();
  return {
    add(keyPrint, accountId) {
      // Keys that nothing more comes of are forgotten with the others, at the cost of one admission each.
      if (crowded.size >= MAX_CROWDED_KEYS) crowded.clear();
      crowded.set(keyPrint, accountId);
    },
    find(keyPrint) {
      const accountId = crowded.get(keyPrint);
      if (accountId === undefined) return undefined;
      if (isFull(accountId)) return { error, sparesDownloads: false };
      crowded.delete(keyPrint);
      return undefined;
    },
  };
}

function tooMany(exceeded: string, retryAfterSeconds: number): AppError {
  return new AppError('too_many', `This account exceeds its limit: ${exceeded}. Slow down and try again.`, {
    retryAfterSeconds,
  });
}
