import type { Log } from '../../shared/runtime/log.ts';
import { retry } from '../../shared/runtime/retry.ts';

/** 100 ms, 200 ms, … 5 s. */
const BACKOFF = { initialMs: 100, maxMs: 5_000 };

/**
 * Repeats `work` until it succeeds: for work that must not be passed over, as when the control store is away.
 *
 * @throws what `work` threw last, once the signal has aborted; and whatever `between`, called before each repeat, throws
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
