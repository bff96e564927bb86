import type { Log } from './log.ts';
import { sleep } from './sleep.ts';

export interface BackoffOptions {
  /** First delay, in milliseconds. */
  initialMs: number;
  maxMs: number;
  random?: () => number;
}

/**
 * Exponential with full jitter: the n-th delay (n from 0) lies between half of and the whole of
 * `initialMs * 2^n`, capped at `maxMs`. With 100 and 5,000: 100, 200, 400, … 5,000.
 */
export function backoffMs(
  attempt: number,
  { initialMs, maxMs, random = Math.random }: BackoffOptions,
): number {
  const ceiling = Math.min(maxMs, initialMs * 2 ** Math.min(attempt, 30));
  return Math.round(ceiling / 2 + (random() * ceiling) / 2);
}

export interface RetryOptions {
  /** What is tried, in the words of the log: "recording changes". */
  readonly what: string;
  /** How long to wait before each further attempt. */
  readonly backoff: Omit<BackoffOptions, 'random'>;
  /** Attempts in all; without it, as many as it takes. */
  readonly maxAttempts?: number;
  /** Whether another attempt may succeed after this failure. Without it, after any. */
  readonly isRetryable?: (error: unknown) => boolean;
  /** Runs before each further attempt. What it throws ends the retries. */
  readonly beforeRetry?: (error: unknown) => unknown;
  /** Ends the wait and the retries. */
  readonly signal?: AbortSignal;
  readonly log: Log;
}

/** The first failures of a row are expected and logged as `debug`, the next ones as `warn`, the rest as `error`. */
const WARN_FROM_ATTEMPT = 3;
const ERROR_FROM_ATTEMPT = 10;

/**
 * Repeats `work` until it succeeds. `work` must be harmless when repeated: its answer may be lost after it was done.
 *
 * @throws the last failure, when it is not retryable, the attempts are used up, or the signal is aborted
 */
export async function retry<T>(options: RetryOptions, work: () => Promise<T>): Promise<T> {
  const {
    what,
    backoff,
    maxAttempts = Number.POSITIVE_INFINITY,
    isRetryable,
    beforeRetry,
    signal,
    log,
  } = options;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (signal?.aborted || attempt >= maxAttempts || isRetryable?.(error) === false) throw error;
      const write =
        attempt >= ERROR_FROM_ATTEMPT ? log.error : attempt >= WARN_FROM_ATTEMPT ? log.warn : log.debug;
      write('attempt.failed', { what, attempt, error });
      await sleep(backoffMs(attempt - 1, backoff), signal);
      if (signal?.aborted) throw error;
      await beforeRetry?.(error);
    }
  }
}
