/**
 * Runs the same line of work several times beside each other. When one fails, `failure` is aborted and tells the others to come to an
 * end: whoever attempts again afterwards must not meet lines of before. Settles when no line runs any more, whatever came of them.
 *
 * @throws the first failure
 */
export async function runWorkers(
  count: number,
  failure: AbortController,
  worker: () => Promise<void>,
): Promise<void> {
  const guarded = async () => {
    try {
      await worker();
    } catch (error) {
      // Only the first reason stays.
      failure.abort(error);
    }
  };
  await Promise.all(Array.from({ length: count }, guarded));
  failure.signal.throwIfAborted();
}
