import { sleep } from '../runtime/sleep.ts';
import type { NumberedItem } from './apply-statement.ts';
import { retryDelayMs } from './call-handler.ts';

/** An item and its next or latest attempt. */
export interface Turn {
  readonly item: NumberedItem;
  readonly attempt: number;
  /** Items that the handler had responded to before the first attempt. */
  readonly answersBefore: number;
}

/**
 * Items that wait for another attempt. They wait here and not in their worker, so that a handler that hangs for as many items
 * as there are workers delays the others by one timeout, not by all attempts.
 */
export interface RetryQueue {
  /** @param leastDelayMs the handler's Retry-After. @returns false after the item's last attempt */
  add(turn: Turn, leastDelayMs?: number): boolean;
  /** Waits until the first item is due; undefined when the queue is empty, or the signal aborts first. */
  next(signal: AbortSignal): Promise<Turn | undefined>;
}

export function createRetryQueue(now = performance.now.bind(performance)): RetryQueue {
  const waiting: { turn: Turn; dueAtMs: number }[] = [];
  return {
    add(turn, leastDelayMs = 0) {
      const delayMs = retryDelayMs(turn.attempt);
      if (delayMs === undefined) return false;
      const dueAtMs = now() + Math.max(delayMs, leastDelayMs);
      waiting.push({ turn: { ...turn, attempt: turn.attempt + 1 }, dueAtMs });
      waiting.sort((a, b) => a.dueAtMs - b.dueAtMs);
      return true;
    },
    async next(signal) {
      const first = waiting.shift();
      if (first === undefined) return undefined;
      const delayMs = first.dueAtMs - now();
      if (delayMs > 0) await sleep(delayMs, signal);
      return signal.aborted ? undefined : first.turn;
    },
  };
}
