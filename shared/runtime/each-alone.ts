/**
 * Does the work for each item, one after the other. One that fails is handed to `onFailure` and is in the way of no other.
 *
 * @returns how many were done
 */
export async function eachAlone<T>(
  items: Iterable<T>,
  work: (item: T) => Promise<void>,
  onFailure: (item: T, error: unknown) => void,
): Promise<number> {
  let done = 0;
  for (const item of items) {
    try {
      await work(item);
      done += 1;
    } catch (error) {
      onFailure(item, error);
    }
  }
  return done;
}
