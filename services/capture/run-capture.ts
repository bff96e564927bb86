import { formatLsn } from '../../shared/domain/lsn.ts';
import { backoffMs } from '../../shared/runtime/backoff.ts';
import type { Log } from '../../shared/runtime/log.ts';
import { sleep } from '../../shared/runtime/sleep.ts';
import type { Worker } from '../../shared/runtime/worker.ts';
import { classifySessionError } from './classify-session-error.ts';
import { GapPossibleError } from './gap-possible-error.ts';

/** How soon a standby looks again whether the slot is free: this bounds a takeover. */
const STANDBY_INTERVAL_MS = 500;
const RETRY = { initialMs: 200, maxMs: 10_000 };
/** A session that lasted this long was a good one: the next failure starts at the first delay again. */
const GOOD_SESSION_MS = 30_000;

export interface CaptureDeps {
  /** Carries the feed until the signal aborts or something breaks; `onStreaming` is called once it does. */
  readonly runSession: (onStreaming: () => void, signal: AbortSignal) => Promise<void>;
  readonly log: Log;
}

/**
 * One session after the other. While another instance holds the slot this one stands by, and counts as ready: it has
 * nothing else to do, and a rolling update must not wait for it.
 */
export function createCaptureWorker({ runSession, log }: CaptureDeps): Worker {
  const ready = Promise.withResolvers<void>();
  return {
    name: 'capture',
    ready: ready.promise,
    async run(signal) {
      let failureCount = 0;
      let isStandingBy = false;
      while (!signal.aborted) {
        const startedAtMs = Date.now();
        try {
          await runSession(() => {
            isStandingBy = false;
            ready.resolve();
          }, signal);
        } catch (error) {
          if (signal.aborted) return;
          switch (classifySessionError(error)) {
            case 'stop':
              // An event of its own, for alerts: unlike any other failure this one does not pass by itself.
              if (error instanceof GapPossibleError) {
                const { reason, passedLsn } = error;
                log.error('gap.possible', { reason, passedLsn: formatLsn(passedLsn), error });
              }
              throw error;
            case 'wait':
              ready.resolve();
              if (!isStandingBy)
                log.info('slot.held', { error, remedy: 'none needed: this instance stands by' });
              isStandingBy = true;
              await sleep(STANDBY_INTERVAL_MS, signal);
              break;
            case 'retry': {
              if (Date.now() - startedAtMs > GOOD_SESSION_MS) failureCount = 0;
              const delayMs = backoffMs(failureCount, RETRY);
              (failureCount > 5 ? log.error : log.warn)('session.failed', { error, failureCount, delayMs });
              failureCount += 1;
              await sleep(delayMs, signal);
            }
          }
        }
      }
    },
  };
}
