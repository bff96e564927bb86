/**
 * Requests started in one turn of the event loop: some three milliseconds. Most of a start comes in microtasks, behind whoever
 * starts it, so that a count bounds it and a look at the clock does not. Until the loop turns nothing is read, recorded or answered.
 */
const STARTS_PER_TURN = 8;

/**
 * On a machine with more to do than processors a turn may take fifty milliseconds, in most of which the process waits for
 * its turn on a processor. It then starts what it would have started in those, at the same pace; otherwise requests would
 * wait in the process for each turn that the others take. What the loop itself works adds nothing.
 */
const STARTS_PER_LOST_MS = STARTS_PER_TURN / 3;

/** With these a turn takes about twelve milliseconds of work. */
const MAX_STARTS_PER_TURN = 64;

/** To endpoints that did not respond: so many, then a pause. */
const UNANSWERED_STARTS = 3;

/** Beyond it an endpoint that is asked for the first time would wait for no good. */
const MAX_PAUSE_MS = 25;

/** Twice as many starts as are needed when none of the requests that there may be at once gets a response. */
const SPARE = 2;

/** Who starts the next request of this process. */
export interface StartTurns {
  /**
   * Whether the account may start one request now. If not, `retry` is called when it is its turn; asked again before that it
   * is called once all the same. `isAnswering`: the endpoint's last request got a response, whatever it was.
   */
  take(accountId: string, retry: () => void, isAnswering: boolean): boolean;
}

/**
 * Lets requests be started at once while there is room, else in later turns of the event loop: one of each account, and of an
 * account one of each endpoint. So whoever starts many holds up the others by one request each.
 *
 * Endpoints that did not respond have turns of their own. A thousand requests that time out together would be followed by a thousand
 * others at once, and all of it again after each time-out; so they spread over seconds, and stay spread.
 *
 * @param maxInFlight requests that there may be at once
 * @param timeoutMs after which one without a response ends
 * @param waitedMs how long this thread has waited so far, for a processor or for something to do, in milliseconds
 */
export function createStartTurns(
  maxInFlight: number,
  timeoutMs: number,
  waitedMs: () => number = threadWaitedMs,
): StartTurns {
  const pauseMs = Math.min(MAX_PAUSE_MS, (UNANSWERED_STARTS * timeoutMs) / (SPARE * maxInFlight));
  let begunMs = 0;
  const answering = createTurns(
    STARTS_PER_TURN,
    // The loop does not wait for something to do before it turns, so that all waiting was for a processor.
    () => Math.min(MAX_STARTS_PER_TURN, STARTS_PER_TURN + (waitedMs() - begunMs) * STARTS_PER_LOST_MS),
    (next) => {
      begunMs = waitedMs();
      setImmediate(next);
    },
  );
  const others = createTurns(
    UNANSWERED_STARTS,
    () => UNANSWERED_STARTS,
    (next) => setTimeout(next, pauseMs),
  );
  return {
    take: (accountId, retry, isAnswering) => (isAnswering ? answering : others)(accountId, retry),
  };
}

function threadWaitedMs(): number {
  const { user, system } = process.threadCpuUsage();
  return performance.now() - (user + system) / 1_000;
}

/**
 * @param atOnce may be started while nothing waits
 * @param inNext may be started in a turn that requests have waited for
 */
function createTurns(
  atOnce: number,
  inNext: () => number,
  schedule: (next: () => void) => void,
): (accountId: string, retry: () => void) => boolean {
  /** What waits, by account; the account whose turn it is comes first. */
  const waiting = new Map<string, Set<() => void>>();
  let left = 0;
  let isUnderWay = false;
  /** Whose turn it is, until it starts something. */
  let called: (() => void) | undefined;

  const begin = (count: number) => {
    isUnderWay = true;
    left = count;
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
    begin(inNext());
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
    if (!isUnderWay) begin(atOnce);
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

/** The room for requests of one process, and who takes it. */
export interface RequestLimiter {
  /** Whether an endpoint of the account, with so many requests under way, may begin another. */
  mayBegin(accountId: string, endpointInFlight: number): boolean;
  note(accountId: string, change: 1 | -1): void;
  /** Requests without a response. */
  running(): number;
}

/**
 * Shares the room by dynamic thresholds (Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet
 * switches", 1998): an account may take as much as is left free. One by itself gets half of it, two get a third each, so that
 * however many slow endpoints an account has, there is room for the next account. And each endpoint may always have one
 * request under way, so that many accounts together can't stop another.
 */
export function createRequestLimiter(size: number): RequestLimiter {
  const taken = new Map<string, number>();
  let total = 0;
  return {
    mayBegin: (accountId, endpointInFlight) =>
      endpointInFlight === 0 || (taken.get(accountId) ?? 0) < size - total,
    note(accountId, change) {
      total += change;
      const count = (taken.get(accountId) ?? 0) + change;
      if (count === 0) taken.delete(accountId);
      else taken.set(accountId, count);
    },
    running: () => total,
  };
}

/** How much of its second an endpoint may use at once. */
const BURST_MS = 100;

/** Spaces requests of one endpoint: at most `perSecond` of them, and no more than a tenth of that in one go. */
export interface RateLimit {
  /** When the next may start, in epoch milliseconds; now or earlier means at once. */
  readonly nextAtMs: number;
  take(nowMs: number): void;
}

export function createRateLimit(perSecond: number | undefined): RateLimit {
  if (perSecond === undefined) return { nextAtMs: 0, take: () => undefined };
  const intervalMs = 1_000 / perSecond;
  const burstMs = Math.max(BURST_MS, intervalMs) - intervalMs;
  /** When a sender that never paused would have used up what it has taken. */
  let usedUpAtMs = 0;
  return {
    get nextAtMs() {
      return usedUpAtMs - burstMs;
    },
    take(nowMs) {
      usedUpAtMs = Math.max(nowMs, usedUpAtMs) + intervalMs;
    },
  };
}
