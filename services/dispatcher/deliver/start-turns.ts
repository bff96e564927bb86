/**
 * Requests started in one turn of the event loop: some three milliseconds. Most of a start comes in microtasks, behind whoever
 * starts it, so that a count bounds it and a look at the clock does not. Until the loop turns nothing is read, recorded or answered.
 */
const STARTS_PER_TURN = 8;

/**
 * Of endpoints that have not answered well: so many, then a pause. A thousand requests that time out together would be followed by a
 * thousand others at once, and all of it again every 15 seconds; so they spread over seconds and stay so. It is 300 a second,
 * four times what the default room of 1,000 requests needs when none is answered.
 */
const UNPROVEN_STARTS = 3;
const UNPROVEN_PAUSE_MS = 10;

/** Who starts the next request of this process. */
export interface StartTurns {
  /**
   * Whether the account may start one request now. If not, `retry` is called when it is its turn; asked again before that it
   * is called once all the same. `isProven`: the endpoint's last answer was a good one.
   */
  take(accountId: string, retry: () => void, isProven: boolean): boolean;
}

/**
 * Lets requests be started at once while there is room, else in later turns of the event loop: one of each account, and of an
 * account one of each endpoint. So whoever starts many holds up the others by one request each. Endpoints that fail or
 * hang have turns of their own, which are rarer, so that they hold up none that answers.
 */
export function createStartTurns(): StartTurns {
  const proven = createTurns(STARTS_PER_TURN, (next) => setImmediate(next));
  const unproven = createTurns(UNPROVEN_STARTS, (next) => setTimeout(next, UNPROVEN_PAUSE_MS));
  return {
    take: (accountId, retry, isProven) => (isProven ? proven : unproven)(accountId, retry),
  };
}

function createTurns(
  startsPerTurn: number,
  schedule: (next: () => void) => void,
): (accountId: string, retry: () => void) => boolean {
  /** What waits, by account; the account whose turn it is comes first. */
  const waiting = new Map<string, Set<() => void>>();
  let left = 0;
  let isUnderWay = false;
  /** Whose turn it is, until it starts something. */
  let called: (() => void) | undefined;

  const begin = () => {
    isUnderWay = true;
    left = startsPerTurn;
    schedule(next);
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
    // Counted whether or not it starts something: to find that out takes time, too.
    while (waiting.size > 0 && left > 0) {
      left -= 1;
      callNext();
    }
  };

  return (accountId, retry) => {
    if (called === retry) {
      called = undefined;
      return true;
    }
    if (!isUnderWay) begin();
    if (waiting.size === 0 && left > 0) {
      left -= 1;
      return true;
    }
    const queue = waiting.get(accountId);
    if (queue === undefined) waiting.set(accountId, new Set([retry]));
    else queue.add(retry);
    return false;
  };
}
