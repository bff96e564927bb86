import { formatLsn } from '../../shared/domain/lsn.ts';
import type { Log } from '../../shared/runtime/log.ts';
import { backoffMs } from '../../shared/runtime/retry.ts';
import { sleep } from '../../shared/runtime/sleep.ts';
import { causesOf, classifyTransient } from '../../shared/runtime/transient.ts';
import type { Worker } from '../../shared/runtime/worker.ts';
import { TableMisfitError } from './aside/misfits.ts';
import { GapPossibleError } from './publish/start-point.ts';
import { SlotHeldError } from './replication/slot.ts';
import { SourceLostError } from './replication/source-queries.ts';
import { StreamLostError } from './replication/stream.ts';

/** How often a standby checks whether the slot is free: this bounds a takeover. */
const STANDBY_INTERVAL_MS = 500;
const RETRY = { initialMs: 200, maxMs: 10_000 };
/** After a session that lasted this long, the next failure starts at the first delay again. */
const GOOD_SESSION_MS = 30_000;

export interface CaptureDeps {
  /** Runs the feed until the signal aborts or an error ends it; `onStreaming` is called once it streams. */
  readonly runSession: (onStreaming: () => void, signal: AbortSignal) => Promise<void>;
  readonly log: Log;
}

/**
 * Runs one session after the other. While another instance holds the slot, this one is on standby and counts as ready,
 * so that a rolling update does not wait for it.
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
              // A separate log event for alerts: this failure does not pass by itself.
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

/**
 * `wait`: another instance is active. `retry`: a transient error outside. `stop`: an operator has to act, or it is a
 * bug.
 */
export type SessionFailure = 'wait' | 'retry' | 'stop';

const PASSING_ERRORS = [StreamLostError, SourceLostError, TableMisfitError];

export function classifySessionError(error: unknown): SessionFailure {
  for (const link of causesOf(error)) {
    if (link instanceof SlotHeldError) return 'wait';
    if (PASSING_ERRORS.some((passing) => link instanceof passing)) return 'retry';
  }
  const transient = classifyTransient(error);
  if (transient === 'in_use') return 'wait';
  // A new password needs a restart.
  return transient === undefined || transient === 'credentials' ? 'stop' : 'retry';
}
