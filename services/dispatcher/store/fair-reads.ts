/**
 * Reads of the event log under way at once. Fewer than the pool has connections: what is recorded and saved must find one
 * free, however many endpoints want to read.
 */
const MAX_READS = 8;

/** Lets reads of many accounts through a few at a time, the accounts in turn. */
export interface FairReads {
  /** Does `read` when it is the account's turn. @throws what it throws */
  run<T>(accountId: string, read: () => Promise<T>): Promise<T>;
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

  return {
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
  };
}
