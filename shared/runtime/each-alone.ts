export interface EachAlone<T> {
  /** A failure of one item. */
  readonly onFailure: (item: T, error: unknown) => void;
  /** Begins no further item once it aborts. */
  readonly signal?: AbortSignal;
  /** Failures in a row after which the rest is left for another round: it is not the items that fail. By default any number. */
  readonly maxFailuresInRow?: number;
}

/**
 * Does the work for each item, one after the other. One that fails is in the way of no other.
 *
 * @returns how many were done, and whether the rest was left
 */
export async function eachAlone<T>(
  items: Iterable<T>,
  { onFailure, signal, maxFailuresInRow = Number.POSITIVE_INFINITY }: EachAlone<T>,
  work: (item: T) => Promise<void>,
): Promise<{ readonly done: number; readonly isCutShort: boolean }> {
  let done = 0;
  let failuresInRow = 0;
  for (const item of items) {
    if (signal?.aborted || failuresInRow >= maxFailuresInRow) return { done, isCutShort: true };
    try {
      await work(item);
      done += 1;
      failuresInRow = 0;
    } catch (error) {
      failuresInRow += 1;
      onFailure(item, error);
    }
  }
  return { done, isCutShort: false };
}
