import { setTimeout as delay } from 'node:timers/promises';

/**
 * Makes of many single calls a few with many items: while one is on its way the next gathers. A call alone is not made to wait,
 * and on a busy process as many items share a round trip as come meanwhile.
 *
 * @param lingerMs how long the first call waits for others, where round trips cost more than the wait
 * @param work gets items in the order of their calls, and gives as many results; when it throws, each of its calls does
 */
export function createGather<T, R>(
  work: (items: readonly T[]) => Promise<readonly R[]>,
  lingerMs = 0,
): (item: T) => Promise<R> {
  interface Call {
    readonly item: T;
    readonly settle: PromiseWithResolvers<R>;
  }
  let gathered: Call[] = [];
  let isBusy = false;

  async function run(): Promise<void> {
    isBusy = true;
    while (gathered.length > 0) {
      // Without a wait, calls that are made together still go together.
      await (lingerMs > 0 ? delay(lingerMs) : undefined);
      const calls = gathered;
      gathered = [];
      try {
        const results = await work(calls.map(({ item }) => item));
        for (const [index, { settle }] of calls.entries()) settle.resolve(results[index] as R);
      } catch (error) {
        for (const { settle } of calls) settle.reject(error);
      }
    }
    isBusy = false;
  }

  return (item) => {
    const settle = Promise.withResolvers<R>();
    gathered.push({ item, settle });
    if (!isBusy) void run();
    return settle.promise;
  };
}
