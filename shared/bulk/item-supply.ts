import type { NumberedItem } from './apply-statement.ts';

/** Hands a chunk's items out to the lines that ask the handler for them, each once and in order. */
export interface ItemSupply {
  /** The next item; undefined when there is none left, or none is to be begun any more. */
  next(): Promise<NumberedItem | undefined>;
}

/**
 * `begin` is asked before items are handed out, and false ends the supply. Lines that come while it is being asked are served together
 * after that: a handler that answers at once costs one question for as many items as there are lines, a slow one costs one question
 * an item, but few of them.
 */
export function createItemSupply(
  items: readonly NumberedItem[],
  begin: (items: readonly NumberedItem[]) => Promise<boolean>,
): ItemSupply {
  let left = items;
  let waiting: PromiseWithResolvers<NumberedItem | undefined>[] = [];
  let isServing = false;
  const take = async (count: number) => {
    const taken = left.slice(0, count);
    left = left.slice(count);
    if (taken.length === 0 || (await begin(taken))) return taken;
    left = [];
    return [];
  };
  const serve = async () => {
    isServing = true;
    // Lines that start together are one lot.
    await Promise.resolve();
    while (waiting.length > 0) {
      const lot = waiting;
      waiting = [];
      try {
        const taken = await take(lot.length);
        for (const [index, line] of lot.entries()) line.resolve(taken[index]);
      } catch (error) {
        for (const line of lot) line.reject(error);
      }
    }
    isServing = false;
  };
  return {
    next() {
      const line = Promise.withResolvers<NumberedItem | undefined>();
      waiting.push(line);
      if (!isServing) void serve();
      return line.promise;
    },
  };
}
