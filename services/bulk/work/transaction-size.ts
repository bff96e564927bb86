/**
 * How many items one transaction of the source takes. Its rows stay locked until it ends, and the product's own commits wait
 * until its WAL is on disk, so a transaction has to be short whatever one item costs. Indexes, triggers and disks decide that
 * cost, so the size follows the duration of the last transactions.
 */
export interface TransactionSize {
  readonly items: number;
  /** Records how long a transaction of `items` items took, from begin to commit. */
  record(items: number, tookMs: number): void;
}

/** Target duration, at which a transaction's fixed cost is the smaller part. */
const AIM_MS = 20;
const MAX_ITEMS = 1_000;

/** A transaction has a fixed cost, so it takes fewer items than this only if one item alone takes longer than `AIM_MS`. */
const FEW_ITEMS = 25;

/** Few, because the cost of an item is unknown; the size grows fourfold from here. */
const FIRST_ITEMS = 10;

/** Bounds of the change after one transaction, which may have met a stall. */
const MAX_GROWTH = 4;
const MAX_SHRINKAGE = 1 / 4;

export function createTransactionSize(): TransactionSize {
  let items = FIRST_ITEMS;
  return {
    get items() {
      return items;
    },
    record(count, tookMs) {
      // A small transaction, as at the end of a chunk, is mostly fixed cost, and says little about an item.
      if (count < items / 2) return;
      const factor = Math.min(MAX_GROWTH, Math.max(MAX_SHRINKAGE, AIM_MS / Math.max(tookMs, 1)));
      const least = tookMs / count > AIM_MS ? 1 : FEW_ITEMS;
      items = Math.round(Math.min(MAX_ITEMS, Math.max(least, items * factor)));
    },
  };
}

/** Sizes by job: the cost of an item depends on its operation, table and account. */
export interface TransactionSizes {
  of(jobId: string): TransactionSize;
}

/** Jobs whose size is kept; the size of another job is found again within a second. */
const MAX_JOBS = 100;

export function createTransactionSizes(): TransactionSizes {
  const byJob = new Map<string, TransactionSize>();
  return {
    of(jobId) {
      const size = byJob.get(jobId) ?? createTransactionSize();
      // Reinserted last, so that the first is the least recently used.
      byJob.delete(jobId);
      byJob.set(jobId, size);
      const [oldest] = byJob.keys();
      if (byJob.size > MAX_JOBS && oldest !== undefined) byJob.delete(oldest);
      return size;
    },
  };
}
