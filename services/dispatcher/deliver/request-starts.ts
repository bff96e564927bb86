/**
 * Requests started in one turn of the event loop, about three milliseconds of work. Most of that work runs in
 * microtasks after the start, so a count limits it and a look at the clock would not. Until the turn ends, nothing is
 * read, recorded or answered.
 */
const STARTS_PER_TURN = 8;

/**
 * Additional starts per millisecond that the process waited for a processor. On an overloaded machine a turn may take
 * fifty milliseconds, mostly such waiting. Without these starts the pace would drop with each long turn. Time that the
 * loop itself works adds none.
 */
const STARTS_PER_LOST_MS = STARTS_PER_TURN / 3;

/** This many starts take about twelve milliseconds of work. */
const MAX_STARTS_PER_TURN = 64;

/** Starts per turn to endpoints that did not respond last time. A pause follows. */
const UNANSWERED_STARTS = 3;

/** Longest pause. A longer one would delay an endpoint that works again for nothing. */
const MAX_PAUSE_MS = 25;

/** Twice the start rate that is needed when no request gets a response before its timeout. */
const SPARE = 2;

/** Decides which account starts the next request of this process. */
export interface StartTurns {
  /**
   * Whether the account may start one request now. If not, `retry` is called when it is the account's turn; several
   * calls before that lead to one call of `retry`.
   *
   * @param isAnswering whether the endpoint's last request got a response of any status; of an endpoint that is new
   *   here, whether it was not failing
   */
  take(accountId: string, retry: () => void, isAnswering: boolean): boolean;
}

/**
 * Starts requests at once while there is room, otherwise in later turns of the event loop. Accounts take turns, and
 * within an account its endpoints, so one with many requests delays each other by one request only.
 *
 * Endpoints that did not respond have turns of their own. Otherwise a thousand requests that time out together would be
 * followed by a thousand new ones at once, again and again. Their starts are spread over seconds, and stay spread.
 *
 * @param maxInFlight limit of concurrent requests
 * @param timeoutMs time limit of a request
 * @param waitedMs how long this thread has waited so far, for a processor or for work, in milliseconds
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
    // Between these two points the loop does not wait for work, so all waiting was for a processor.
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
 * @param atOnce starts that are possible while nothing waits
 * @param inNext starts of a turn that requests waited for
 */
function createTurns(
  atOnce: number,
  inNext: () => number,
  schedule: (next: () => void) => void,
): (accountId: string, retry: () => void) => boolean {
  /** Waiting starts by account. The account whose turn it is comes first. */
  const waiting = new Map<string, Set<() => void>>();
  let left = 0;
  let isUnderWay = false;
  /** The start that was called and has not started anything yet. */
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
    // Calls count even if they start nothing, because finding that out takes time too.
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

/** Shares the limit of concurrent requests of this process among accounts. */
export interface RequestLimiter {
  /** Whether an endpoint of the account with `endpointInFlight` requests under way may start another. */
  mayBegin(accountId: string, endpointInFlight: number): boolean;
  note(accountId: string, change: 1 | -1): void;
  /** Number of requests without a response. */
  running(): number;
}

/**
 * Shares the limit by dynamic thresholds (Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory
 * packet switches", 1998): an account may use as much as is free. One account alone gets half, two get a third each. So
 * there is room for the next account, however many slow endpoints another has. Each endpoint may always have one
 * request under way, so any number of accounts together can't block another.
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

/** Share of a second's requests that an endpoint may send in one burst. */
const BURST_MS = 100;

/** Limits an endpoint to `perSecond` requests, with bursts of up to a tenth of that. */
export interface RateLimit {
  /** When the next request may start, in epoch milliseconds. A time in the past means at once. */
  readonly nextAtMs: number;
  take(nowMs: number): void;
}

export function createRateLimit(perSecond: number | undefined): RateLimit {
  if (perSecond === undefined) return { nextAtMs: 0, take: () => undefined };
  const intervalMs = 1_000 / perSecond;
  const burstMs = Math.max(BURST_MS, intervalMs) - intervalMs;
  /** When a sender at the constant rate would have used up what was taken. */
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
