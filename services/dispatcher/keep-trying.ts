import type { Log } from '../../shared/runtime/log.ts';
import { retry } from '../../shared/runtime/retry.ts';

/** 100 ms, 200 ms, … 5 s. */
const BACKOFF = { initialMs: 100, maxMs: 5_000 };

/**
 * Repeats `work` until it succeeds. For work that must not be skipped, such as while the control store is unavailable.
 *
 * @throws the last error of `work`, once the signal has aborted; and whatever `between`, called before each repeat,
 * throws
 */
export function keepTrying<T>(
  what: string,
  work: () => Promise<T>,
  log: Log,
  signal: AbortSignal,
  between?: () => Promise<void>,
): Promise<T> {
  const options = { what, backoff: BACKOFF, log, signal };
  return retry(between === undefined ? options : { ...options, beforeRetry: between }, work);
}
