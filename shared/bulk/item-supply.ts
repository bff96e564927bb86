import type { NumberedItem } from './apply-statement.ts';

/**
 * How long a look at the items' rows is good for. A handler that answers at once is done with a chunk before a second one; with a slow
 * one, what is asked for has been looked at this shortly before.
 */
const CHECK_VALID_MS = 200;

/** Hands a chunk's items out to the lines that ask the handler for them, each once and in order. */
export interface ItemSupply {
  /** The next item; undefined when there is none left, or none is to be begun any more. */
  next(): Promise<NumberedItem | undefined>;
}

export interface SupplyDeps {
  /** Looks at items that are left. @returns those that there is no reason to leave alone */
  check(items: readonly NumberedItem[]): Promise<readonly NumberedItem[]>;
  /** Asked before items are handed out; false ends the supply. */
  begin(items: readonly NumberedItem[]): Promise<boolean>;
  now(): number;
}

/**
 * An item is looked at shortly before it is handed out: by the time its turn comes, one that matched when the chunk was begun may not
 * any more. All that are left are looked at together, because that costs what one does. Lines that come while others are served are
 * served together after that: a handler that answers at once costs one question for as many items as there are lines.
 */
export function createItemSupply(
  items: readonly NumberedItem[],
  { check, begin, now }: SupplyDeps,
): ItemSupply {
  let left = items;
  let checkedAtMs = Number.NEGATIVE_INFINITY;
  let waiting: PromiseWithResolvers<NumberedItem | undefined>[] = [];
  let isServing = false;
  const take = async (count: number) => {
    const nowMs = now();
    if (left.length > 0 && nowMs - checkedAtMs >= CHECK_VALID_MS) {
      left = await check(left);
      checkedAtMs = nowMs;
    }
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
      const batch = waiting;
      waiting = [];
      try {
        const taken = await take(batch.length);
        for (const [index, waiter] of batch.entries()) waiter.resolve(taken[index]);
      } catch (error) {
        for (const waiter of batch) waiter.reject(error);
      }
    }
    isServing = false;
  };
  return {
    next() {
      const waiter = Promise.withResolvers<NumberedItem | undefined>();
      waiting.push(waiter);
      if (!isServing) void serve();
      return waiter.promise;
    },
  };
}
