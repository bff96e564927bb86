import { sleep } from '../runtime/sleep.ts';
import type { NumberedItem } from './apply-statement.ts';
import { retryDelayMs } from './call-handler.ts';

/** An item and which try of it is next, or was just made. */
export interface Turn {
  readonly item: NumberedItem;
  readonly attempt: number;
  /** Items that the handler had answered before the first try. */
  readonly answersBefore: number;
}

/**
 * Items whose handler is to be asked again. They wait here, and not in the line that asked, so that a handler which hangs for as many
 * items as there are lines costs the others one time limit, and not all its attempts.
 */
export interface RetryQueue {
  /** @param leastDelayMs the rest that the handler asks for. @returns false when that was the item's last try */
  add(turn: Turn, leastDelayMs?: number): boolean;
  /** Waits until the first one is due; undefined when there is none, or the signal aborts first. */
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
