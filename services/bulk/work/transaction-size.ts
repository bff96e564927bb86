/**
 * How many items one transaction of the source takes. Its rows stay locked until it is over, and a commit of the product's own has
 * to wait until the WAL of the whole is on disk: a transaction is to be short whatever one item costs, which an index, a
 * trigger or a slow disk decides. So the size follows what the last ones took.
 */
export interface TransactionSize {
  readonly items: number;
  /** A transaction of so many items took so long, from its begin to its commit. */
  note(items: number, tookMs: number): void;
}

/** Long enough that what each transaction costs beside its items stays the smaller part. */
const AIM_MS = 20;
const MIN_ITEMS = 25;
const MAX_ITEMS = 1_000;
const FIRST_ITEMS = 250;

export function createTransactionSize(): TransactionSize {
  let items = FIRST_ITEMS;
  return {
    get items() {
      return items;
    },
    note(count, tookMs) {
      // A short one, as at the end of a chunk, costs mostly what does not depend on its items, and says little.
      if (count < items / 2) return;
      // One that met with a stall must not shrink the next to nothing, nor a quick one make it much longer.
      const factor = Math.min(2, Math.max(0.5, AIM_MS / Math.max(tookMs, 1)));
      items = Math.round(Math.min(MAX_ITEMS, Math.max(MIN_ITEMS, items * factor)));
    },
  };
}
