import { createGather } from '../runtime/gather.ts';
import type { NumberedItem } from './apply-statement.ts';

/**
 * How long a check of the items' rows is valid. A fast handler finishes a chunk within one check; for a slow one, each item was
 * checked at most this long before its request.
 */
const CHECK_VALID_MS = 200;

/** Hands a chunk's items to the workers that call the handler, each once and in order. */
export interface ItemSupply {
  /** The next item; undefined when none is left, or `begin` has refused. */
  next(): Promise<NumberedItem | undefined>;
}

export interface SupplyDeps {
  /** Checks the remaining items. @returns those to send to the handler */
  check(items: readonly NumberedItem[]): Promise<readonly NumberedItem[]>;
  /** Called before items are handed out; false ends the supply. */
  begin(items: readonly NumberedItem[]): Promise<boolean>;
  now(): number;
}

/**
 * Checks an item shortly before it is handed out, because an item that matched when the chunk began may no longer match. One
 * query checks all remaining items, at the cost of one. Workers that ask while others are served are served together next, so
 * a fast handler costs one query for as many items as there are workers.
 */
export function createItemSupply(
  items: readonly NumberedItem[],
  { check, begin, now }: SupplyDeps,
): ItemSupply {
  let left = items;
  let checkedAtMs = Number.NEGATIVE_INFINITY;
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
  const serve = createGather(async (calls: readonly undefined[]) => {
    const taken = await take(calls.length);
    return calls.map((_, index) => taken[index]);
  });
  return { next: () => serve(undefined) };
}
