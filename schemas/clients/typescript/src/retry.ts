/** How often and how long requests are repeated. */
export interface RetryPolicy {
  /** Repeats of a failed request. 0: none. */
  readonly maxRetries: number;
  /** The longest `Retry-After` that the client waits for. A longer one is thrown at once. */
  readonly maxWaitMs: number;
}

export const DEFAULT_RETRIES: RetryPolicy = { maxRetries: 5, maxWaitMs: 60_000 };

const FIRST_DELAY_MS = 250;
const MAX_DELAY_MS = 15_000;

/**
 * Time to wait before a repeat: doubled each time, and between half and all of it by chance, so that clients that
 * failed together do not return together. A `Retry-After` is never undercut.
 *
 * @param retry 1 for the first repeat
 */
export function retryDelayMs(
  retry: number,
  retryAfterSeconds: number | undefined,
  random: () => number = Math.random,
): number {
  const backoffMs = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** (retry - 1));
  const jitteredMs = backoffMs * (0.5 + random() / 2);
  if (retryAfterSeconds === undefined) return jitteredMs;
  return retryAfterSeconds * 1_000 + jitteredMs / 4;
}

/** The `Retry-After` of a response, in seconds or as a date. Undefined for none, or one that cannot be read. */
export function readRetryAfter(header: string | null, nowMs: number): number | undefined {
  if (header === null) return undefined;
  if (/^\d+$/.test(header.trim())) return Number(header);
  const atMs = Date.parse(header);
  return Number.isNaN(atMs) ? undefined : Math.max(0, (atMs - nowMs) / 1_000);
}

/** Statuses that say that the server did nothing, or may do better soon. */
const RETRIED = new Set([408, 425, 429, 500, 502, 503, 504]);

/**
 * Whether a response is worth a repeat. A conflict is, if it names a time: the first request with the same
 * Idempotency-Key is still running.
 */
export function isRetried(status: number, retryAfterSeconds: number | undefined): boolean {
  return RETRIED.has(status) || (status === 409 && retryAfterSeconds !== undefined);
}

/** Waits, or ends at once with the reason of the signal. */
export function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(signal.reason);
      return;
    }
    const abort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', abort);
      resolve();
    }, ms);
    signal?.addEventListener('abort', abort, { once: true });
  });
}
