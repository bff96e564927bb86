import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { AppError } from '../../../shared/runtime/errors.ts';
import type { KeyStore } from './caller.ts';
import { createPlaces, type Leave } from './concurrency-limiter.ts';

/** What one account may ask of one process, so that its neighbours hardly notice. */
export interface FairShareLimits {
  /** Of one key, and of all keys of an account together. */
  readonly requestsPerSecond: number;
  /** Requests that are read, wait or run. More are refused. */
  readonly maxOpen: number;
  /** Requests that run: fewer than the control store has connections. The others wait for one of these to end. */
  readonly maxRunning: number;
  /** Files that are being sent, whatever they are of. */
  readonly maxDownloads: number;
}

/**
 * Every method takes the account that asks; undefined is the operator, who is not limited, nor is what needs no key: probes are
 * answered whatever customers do.
 */
export interface FairShare {
  /** Counts requests by their key before the key is looked up, so that those over the rate cost no query. */
  limit(keys: KeyStore): KeyStore;
  /** Takes a request in. @throws AppError `too_many` */
  enter(accountId: string | undefined): Promise<Leave>;
  /** Charges a body before it is read, by the length that it says it has, or 1. @throws AppError `too_many` */
  read(accountId: string | undefined, bytes: number): Promise<void>;
  /** Charges what was read of a body that did not say its length. */
  charge(accountId: string | undefined, bytes: number): Promise<void>;
  /** Waits for the request's turn, first come, first served within its account. @throws AppError `too_many` */
  run(accountId: string | undefined): Promise<Leave>;
  /** Takes a place for a file, until it is sent. @throws AppError `too_many` */
  download(accountId: string | undefined): Leave;
}

/** Bytes of JSON bodies of one account: some of the largest, or any number of small ones. Reading a large body takes some 20 ms. */
const BODY_BYTES = { points: 8 * 1_024 * 1_024, duration: 2 };

/** Longer than any request takes, so that who waits in vain has asked for too much. */
const WAIT_MS = 30_000;

/** A file that is not taken gives its place back after some 30 s. */
const DOWNLOAD_RETRY_SECONDS = 5;

const nothing: Leave = () => undefined;

export function createFairShare({
  requestsPerSecond,
  maxOpen,
  maxRunning,
  maxDownloads,
}: FairShareLimits): FairShare {
  const rates = new RateLimiterMemory({ points: requestsPerSecond, duration: 1 });
  const open = createPlaces({ max: Number.POSITIVE_INFINITY, perAccount: maxOpen });
  const running = createPlaces({ max: Number.POSITIVE_INFINITY, perAccount: maxRunning });
  const downloads = createPlaces({ max: Number.POSITIVE_INFINITY, perAccount: maxDownloads });
  const bodies = new RateLimiterMemory(BODY_BYTES);
  const consume = async (limiter: RateLimiterMemory, who: string, points: number, what: string) => {
    try {
      await limiter.consume(who, points);
    } catch (error) {
      if (!(error instanceof RateLimiterRes)) throw error;
      throw tooMany(what, Math.ceil(error.msBeforeNext / 1_000));
    }
  };
  const count = (who: string) => consume(rates, who, 1, `more than ${requestsPerSecond} requests per second`);
  return {
    limit: (keys) => ({
      async findKey(keyHash) {
        await count(`key:${keyHash.toString('base64')}`);
        return keys.findKey(keyHash);
      },
    }),
    async enter(accountId) {
      if (accountId === undefined) return nothing;
      await count(`account:${accountId}`);
      const leave = open.take(accountId);
      if (leave === undefined) throw tooMany(`more than ${maxOpen} requests at once`, 1);
      return leave;
    },
    async read(accountId, bytes) {
      if (accountId === undefined || bytes === 0) return;
      const rate = BODY_BYTES.points / BODY_BYTES.duration;
      await consume(bodies, accountId, bytes, `bodies of more than ${rate} bytes per second`);
    },
    async charge(accountId, bytes) {
      if (accountId !== undefined && bytes > 0) await bodies.penalty(accountId, bytes);
    },
    async run(accountId) {
      if (accountId === undefined) return nothing;
      const leave = await running.takeSoon(accountId, WAIT_MS);
      if (typeof leave === 'function') return leave;
      throw tooMany('more requests than it may run at once', 1);
    },
    download(accountId) {
      if (accountId === undefined) return nothing;
      const leave = downloads.take(accountId);
      if (leave === undefined)
        throw tooMany(`more than ${maxDownloads} files at once`, DOWNLOAD_RETRY_SECONDS);
      return leave;
    },
  };
}

function tooMany(what: string, retryAfterSeconds: number): AppError {
  return new AppError('too_many', `This account exceeds its limit: ${what}. Slow down and try again.`, {
    retryAfterSeconds,
  });
}
