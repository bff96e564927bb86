/**
 * How many items one transaction of the source takes. Its rows stay locked until it is over, and a commit of the product's own has
 * to wait until the WAL of the whole is on disk: a transaction is to be short whatever one item costs, which an index, a
 * trigger or a slow disk decides. So the size follows what the last ones took.
 */
export interface TransactionSize {
  readonly items: number;
  /** A transaction of so many items took so long, from its begin to its commit. */
  record(items: number, tookMs: number): void;
}

/** Long enough that what each transaction costs beside its items stays the smaller part. */
const AIM_MS = 20;
const MAX_ITEMS = 1_000;

/** A transaction costs something beside its items: fewer than this only where one item alone takes longer than `AIM_MS`. */
const FEW_ITEMS = 25;

/** Few, because nothing is known of what an item costs; it grows fourfold from here. */
const FIRST_ITEMS = 10;

/** No single transaction, which may have met with a stall, changes the size by more. */
const MAX_GROWTH = 4;
const MAX_SHRINKAGE = 1 / 4;

export function createTransactionSize(): TransactionSize {
  let items = FIRST_ITEMS;
  return {
    get items() {
      return items;
    },
    record(count, tookMs) {
      // A short one, as at the end of a chunk, costs mostly what does not depend on its items, and says little.
      if (count < items / 2) return;
      const factor = Math.min(MAX_GROWTH, Math.max(MAX_SHRINKAGE, AIM_MS / Math.max(tookMs, 1)));
      const least = tookMs / count > AIM_MS ? 1 : FEW_ITEMS;
      items = Math.round(Math.min(MAX_ITEMS, Math.max(least, items * factor)));
    },
  };
}

/** Sizes by job: what an item costs is a matter of its operation, its table and its account. */
export interface TransactionSizes {
  of(jobId: string): TransactionSize;
}

/** Jobs whose size is remembered; of others it is found again within a second. */
const MAX_JOBS = 100;

export function createTransactionSizes(): TransactionSizes {
  const byJob = new Map<string, TransactionSize>();
  return {
    of(jobId) {
      const size = byJob.get(jobId) ?? createTransactionSize();
      // Behind all others, so that the first one is the one that was not asked for the longest.
      byJob.delete(jobId);
      byJob.set(jobId, size);
      const [oldest] = byJob.keys();
      if (byJob.size > MAX_JOBS && oldest !== undefined) byJob.delete(oldest);
      return size;
    },
  };
}
