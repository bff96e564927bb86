import { sleep } from './sleep.ts';

/** Call it with each batch that was done: it waits as long as keeps the work below the rate. */
export type Pace = (count: number) => Promise<void>;

/** @throws from the pace: the signal's reason, once it has aborted */
export function createPace(perSecond: number, signal: AbortSignal, now: () => number = Date.now): Pace {
  let dueMs = now();
  return async (count) => {
    signal.throwIfAborted();
    // Time that passed without work is not made up for: a burst is what the rate is to prevent.
    dueMs = Math.max(dueMs, now() - 1_000) + (count / perSecond) * 1_000;
    const waitMs = dueMs - now();
    if (waitMs > 0) await sleep(waitMs, signal);
    signal.throwIfAborted();
  };
}
