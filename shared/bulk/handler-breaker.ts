import { HANDLER_TIMEOUT, type HandlerFault } from './call-handler.ts';

/** Tells a handler that is away as a whole, as in a deployment, from items that it fails. */
export interface HandlerBreaker {
  /** Aborts when the handler is taken to be away: nothing is to be asked of it for a while. */
  readonly opened: AbortSignal;
  /** Items that the handler has had an answer for, whatever it was; away is no answer. */
  readonly answerCount: number;
  /** The longest rest that the handler has asked for. */
  readonly retryAfterMs: number;
  /** What came of a try: null, or why it failed. @returns whether the handler answered */
  saw(fault: HandlerFault | null): boolean;
  /** It was away at every try of an item, before the first of which it had answered so many. @returns whether it is taken to be away */
  gaveUp(answersBefore: number): boolean;
}

/** So many attempts in a row that find the handler away open the breaker, where none was answered in between. */
const AWAY_IN_A_ROW = 10;

/** A rest longer than this is not waited out beside other requests: the job pauses for it. */
export const LONG_REST_MS = 2_000;

/** @param isProbing the handler was away a moment ago, so that the first try tells whether it still is */
export function createHandlerBreaker(isProbing: boolean): HandlerBreaker {
  const open = new AbortController();
  let answerCount = 0;
  let inARow = 0;
  let retryAfterMs = 0;
  return {
    opened: open.signal,
    get answerCount() {
      return answerCount;
    },
    get retryAfterMs() {
      return retryAfterMs;
    },
    saw(fault) {
      const isTimeout = fault?.code === HANDLER_TIMEOUT;
      if (fault?.isAway !== true && !isTimeout) {
        answerCount += 1;
        inARow = 0;
        return true;
      }
      // A handler that comes back may hang at first; at any other time it is the item that hangs.
      if (isProbing && answerCount === 0) open.abort();
      if (isTimeout) return false;
      inARow += 1;
      retryAfterMs = Math.max(retryAfterMs, fault?.retryAfterMs ?? 0);
      if (inARow >= AWAY_IN_A_ROW || retryAfterMs > LONG_REST_MS) open.abort();
      return false;
    },
    gaveUp(answersBefore) {
      if (answerCount === answersBefore) open.abort();
      return open.signal.aborted;
    },
  };
}
