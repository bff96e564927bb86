/**
 * Limit of concurrent reads of the event log. Fewer than the pool's connections, so that inserts and saves always find
 * a free one, however many endpoints read.
 */
const MAX_READS = 8;

/** Limits concurrent reads; accounts take turns. */
export interface FairReads {
  /** Runs `read` when it is the account's turn. @throws what `read` throws */
  run<T>(accountId: string, read: () => Promise<T>): Promise<T>;
  /**
   * Like `run`, but reads of an account with the same `key` that wait at the same time are done once: endpoints that
   * wait for the same page share it. A read that has started is not shared any more, because it may miss what was
   * recorded since.
   */
  runShared<T>(accountId: string, key: string, read: () => Promise<T>): Promise<T>;
}

export function createFairReads(maxReads: number = MAX_READS): FairReads {
  /** Waiting reads by account. The account whose turn it is comes first. */
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

  /** Shared reads that have not started. */
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
      // The key stands for the type.
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
