/** Each class ends a fifth above the one before, so a percentile is at most that far off. */
const GROWTH = 1.2;

/** The last class begins at 97 s, above the longest time that a delivery may take. */
export const DURATION_CLASSES = 64;

/** The class of a duration in milliseconds, from 0. Class n holds durations above 1.2^(n-1) ms and up to 1.2^n ms. */
export function durationClass(durationMs: number): number {
  if (durationMs <= 1) return 0;
  return Math.min(DURATION_CLASSES - 1, Math.ceil(Math.log(durationMs) / Math.log(GROWTH)));
}

/** How many durations each class holds, from how many each of several lists has. */
export function addClasses(lists: readonly (readonly number[])[]): number[] {
  const sums = new Array<number>(DURATION_CLASSES).fill(0);
  for (const list of lists) for (const [n, value] of list.entries()) sums[n] = (sums[n] ?? 0) + value;
  return sums;
}

/**
 * Estimates a percentile in milliseconds from the number of durations in each class.
 *
 * @param share between 0 and 1
 * @returns undefined when there are none
 */
export function estimatePercentile(counts: readonly number[], share: number): number | undefined {
  const total = counts.reduce((sum, value) => sum + value, 0);
  if (total === 0) return undefined;
  let before = 0;
  for (const [n, value] of counts.entries()) {
    if (value > 0 && before + value >= share * total) {
      const within = (share * total - before) / value;
      return Math.round(GROWTH ** (n - 1 + within));
    }
    before += value;
  }
  return undefined;
}
