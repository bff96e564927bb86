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
