import { HANDLER_TIMEOUT, type HandlerFault } from './call-handler.ts';

/** Circuit breaker: tells a handler that is unavailable, as during a deployment, from items that it fails. */
export interface HandlerBreaker {
  /** Aborts when the breaker opens: the handler gets no requests for a while. */
  readonly opened: AbortSignal;
  /** Items for which the handler responded, whatever it said; an unavailable handler has not responded. */
  readonly answerCount: number;
  /** The handler's longest Retry-After. */
  readonly retryAfterMs: number;
  /** Records an attempt: null for success, or its fault. @returns whether the handler responded */
  saw(fault: HandlerFault | null): boolean;
  /**
   * All attempts at an item found the handler unavailable. @returns whether the breaker is open
   *
   * @param answersBefore `answerCount` before the first attempt
   */
  gaveUp(answersBefore: number): boolean;
}

/** Consecutive attempts without a response that open the breaker. */
const AWAY_IN_A_ROW = 10;

/** The job pauses for a Retry-After that is longer than this. */
export const LONG_REST_MS = 2_000;

/** @param isProbing the handler was unavailable a moment ago, so the first attempt decides whether it still is */
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
