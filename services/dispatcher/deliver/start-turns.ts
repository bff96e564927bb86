/**
 * Time for starting requests in one turn of the event loop: some twenty of them. A thousand that time out together are followed by a
 * thousand others, and until the loop turns nothing is read, recorded or answered.
 */
const TURN_MS = 5;

/** Who starts the next request of this process. */
export interface StartTurns {
  /**
   * Whether the account may start one request now. If not, `retry` is called when it is its turn; asked again before that it
   * is called once all the same.
   */
  take(accountId: string, retry: () => void): boolean;
}

/**
 * Lets requests be started at once while there is time, else in later turns of the event loop: one of each account, and of an
 * account one of each endpoint. So whoever starts many holds up the others by one request each.
 */
export function createStartTurns(
  turnMs: number = TURN_MS,
  nowMs: () => number = () => performance.now(),
): StartTurns {
  /** What waits, by account; the account whose turn it is comes first. */
  const waiting = new Map<string, Set<() => void>>();
  let endsAtMs = 0;
  let isUnderWay = false;
  /** Whose turn it is, until it starts something. */
  let called: (() => void) | undefined;

  const begin = () => {
    isUnderWay = true;
    endsAtMs = nowMs() + turnMs;
    setImmediate(next);
  };

  const callNext = () => {
    const [entry] = waiting;
    if (entry === undefined) return;
    const [accountId, queue] = entry;
    const [retry] = queue;
    waiting.delete(accountId);
    if (retry === undefined) return;
    queue.delete(retry);
    if (queue.size > 0) waiting.set(accountId, queue);
    called = retry;
    retry();
    called = undefined;
  };

  const next = () => {
    isUnderWay = false;
    if (waiting.size === 0) return;
    begin();
    while (waiting.size > 0 && nowMs() < endsAtMs) callNext();
  };

  return {
    take(accountId, retry) {
      if (called === retry) {
        called = undefined;
        return true;
      }
      if (!isUnderWay) begin();
      if (waiting.size === 0 && nowMs() < endsAtMs) return true;
      const queue = waiting.get(accountId);
      if (queue === undefined) waiting.set(accountId, new Set([retry]));
      else queue.add(retry);
      return false;
    },
  };
}
