import type { Pool } from 'pg';
import { stepFailedReplay } from '../../../shared/control/webhooks/replay-failed.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { createNotifier } from '../../../shared/runtime/notifier.ts';
import type { Worker } from '../../../shared/runtime/worker.ts';

/** Poll interval. The api notifies; this bounds the wait of a replay that had no room. */
const ROUND_MS = 1_000;

export interface FailedReplays extends Worker {
  /** Checks for requested replays soon. */
  look(): void;
}

/**
 * Schedules failed events for retry when their owner asks for a replay, a limited number at a time. From there they are
 * retried and given up like any other. Several dispatchers may do so at once.
 */
export function createFailedReplays(pool: Pool, log: Log): FailedReplays {
  const notifier = createNotifier();
  const stepAll = async (signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) {
      const step = await stepFailedReplay(pool);
      if (step === undefined) return;
      if (step.is_full) continue;
      log.info('failed_replay.stepped', {
        endpointId: step.webhook_id,
        scheduled: step.scheduled,
        isOver: step.is_over,
      });
    }
  };
  return {
    name: 'failed-replays',
    look: () => notifier.notify(),
    async run(signal) {
      while (!signal.aborted) {
        try {
          await stepAll(signal);
        } catch (error) {
          log.warn('failed_replay.not_recorded', { error });
        }
        await notifier.wait(ROUND_MS, signal);
      }
    },
  };
}
