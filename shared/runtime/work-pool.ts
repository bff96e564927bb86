import type { Log } from './log.ts';
import type { Notifier } from './notifier.ts';
import { backoffMs } from './retry.ts';
import type { Worker } from './worker.ts';

export interface WorkPoolOptions<T> {
  readonly name: string;
  /** Units at once. 0 makes a worker that only waits. */
  readonly maxUnits: number;
  /** How long to wait after nothing was found, unless notified; a function is asked before each wait. */
  readonly idleMs: number | (() => number);
  readonly notifier: Notifier;
  readonly log: Log;
  /**
   * The next unit, or undefined when there is none now.
   *
   * @param free how many units may begin now, this one included
   */
  claim(free: number): Promise<T | undefined>;
  /** Does a unit and deals with its failure; a rejection is a bug and ends the worker. */
  work(unit: T, signal: AbortSignal): Promise<void>;
}

/** Outages of the store become errors in the log once they last about this many tries. */
const QUIET_FAILURES = 5;

/** Claims units and works on up to `maxUnits` at once. After the abort it claims nothing and waits for the claimed ones. */
export function createWorkPool<T>(options: WorkPoolOptions<T>): Worker {
  const { name, maxUnits, idleMs, notifier, log, claim, work } = options;
  const restMs = typeof idleMs === 'number' ? () => idleMs : idleMs;
  const { promise: ready, resolve: markReady } = Promise.withResolvers<void>();
  return {
    name,
    ready,
    async run(signal) {
      const inHand = new Set<Promise<void>>();
      let bug: { error: unknown } | undefined;
      let failureCount = 0;
      markReady();
      while (!signal.aborted) {
        if (bug !== undefined) throw bug.error;
        if (inHand.size >= maxUnits) {
          await notifier.wait(restMs(), signal);
          continue;
        }
        let unit: T | undefined;
        try {
          unit = await claim(maxUnits - inHand.size);
          failureCount = 0;
        } catch (error) {
          const delayMs = backoffMs(failureCount, { initialMs: 100, maxMs: 5_000 });
          const report = failureCount < QUIET_FAILURES ? log.warn : log.error;
          report(`${name}.claim_failed`, { error, failureCount, delayMs });
          failureCount += 1;
          await notifier.wait(delayMs, signal);
          continue;
        }
        if (unit === undefined) {
          await notifier.wait(restMs(), signal);
          continue;
        }
        const running: Promise<void> = work(unit, signal)
          .catch((error: unknown) => {
            bug = { error };
          })
          .finally(() => {
            inHand.delete(running);
            notifier.notify();
          });
        inHand.add(running);
      }
      await Promise.all(inHand);
    },
  };
}
