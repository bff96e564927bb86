/** Below this size a file costs only its round trips to storage. */
const SMALL_BYTES = 1024 * 1024;

/** Enough for storage to be the bottleneck; each keeps a file open. */
const SMALL_AT_ONCE = 12;

/**
 * Runs small works concurrently and the others one at a time. Resolves with the results in the order of the works.
 *
 * @throws the first error, once no work runs any more
 */
export async function inStages<T extends { readonly bytes: number }, R>(
  works: readonly T[],
  run: (work: T) => Promise<R>,
): Promise<R[]> {
  const results = new Map<T, R>();
  const waiting = works.filter(({ bytes }) => bytes <= SMALL_BYTES);
  let hasFailed = false;
  const runSmall = async () => {
    for (let work = waiting.shift(); work !== undefined && !hasFailed; work = waiting.shift()) {
      try {
        results.set(work, await run(work));
      } catch (error) {
        hasFailed = true;
        throw error;
      }
    }
  };
  const settled = await Promise.allSettled(Array.from({ length: SMALL_AT_ONCE }, runSmall));
  const failed = settled.find(({ status }) => status === 'rejected');
  if (failed?.status === 'rejected') throw failed.reason;
  for (const work of works) if (work.bytes > SMALL_BYTES) results.set(work, await run(work));
  return works.map((work) => results.get(work) as R);
}
