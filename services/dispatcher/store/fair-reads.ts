/**
 * Reads of the event log under way at once. Fewer than the pool has connections: what is recorded and saved must find one
 * free, however many endpoints want to read.
 */
const MAX_READS = 8;

/** Lets reads of many accounts through a few at a time, the accounts in turn. */
export interface FairReads {
  /** Does `read` when it is the account's turn. @throws what it throws */
  run<T>(accountId: string, read: () => Promise<T>): Promise<T>;
  /**
   * The same for a read that several of the account may ask for under one `key`: endpoints that wait for the same page get it from one
   * read. One that has begun is not shared any more, because it need not see what was recorded since.
   */
  runShared<T>(accountId: string, key: string, read: () => Promise<T>): Promise<T>;
}

export function createFairReads(maxReads: number = MAX_READS): FairReads {
  /** What waits, by account; the account whose turn it is comes first. */
  const waiting = new Map<string, (() => void)[]>();
  let underWay = 0;

  const letIn = () => {
    const [entry] = waiting;
    if (entry === undefined || underWay >= maxReads) return;
    const [accountId, queue] = entry;
    waiting.delete(accountId);
    const start = queue.shift();
    if (queue.length > 0) waiting.set(accountId, queue);
    underWay += 1;
    start?.();
  };

  /** Shared reads that have not begun. */
  const queued = new Map<string, Promise<unknown>>();

  const reads: FairReads = {
    async run(accountId, read) {
      await new Promise<void>((resolve) => {
        const queue = waiting.get(accountId);
        if (queue === undefined) waiting.set(accountId, [resolve]);
        else queue.push(resolve);
        letIn();
      });
      try {
        return await read();
      } finally {
        underWay -= 1;
        letIn();
      }
    },
    runShared<T>(accountId: string, key: string, read: () => Promise<T>): Promise<T> {
      const place = `${accountId} ${key}`;
      const known = queued.get(place);
      // Whoever asks for the same key asks for the same.
      if (known !== undefined) return known as Promise<T>;
      const result = reads.run(accountId, () => {
        queued.delete(place);
        return read();
      });
      queued.set(place, result);
      return result;
    },
  };
  return reads;
}
