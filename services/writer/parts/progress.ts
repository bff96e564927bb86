import type { Pool } from 'pg';
import { recordProgress } from '../../../shared/control/chunks/chunk-attempts.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { createNotifier } from '../../../shared/runtime/notifier.ts';
import { backoffMs } from '../../../shared/runtime/retry.ts';
import { sleep } from '../../../shared/runtime/sleep.ts';
import type { Worker } from '../../../shared/runtime/worker.ts';

/** Customers see progress this late, and later while the control store is away. Most small exports end within it. */
const BACKOFF = { initialMs: 200, maxMs: 5_000 };

/** How long the worker waits for a notification. It then looks only at memory. */
const IDLE_MS = 60_000;

export interface ProgressRecorder extends Worker {
  /** A chunk of the export is written, and the control store has it. */
  note(exportId: string): void;
}

/** Records how many rows of exports are written, for all exports together instead of at each chunk. */
export function createProgressRecorder(pool: Pool, log: Log): ProgressRecorder {
  const notifier = createNotifier();
  let noted = new Set<string>();
  let failureCount = 0;

  async function record(): Promise<void> {
    const exportIds = [...noted];
    noted = new Set();
    if (exportIds.length === 0) return;
    try {
      for (const exportId of await recordProgress(pool, exportIds)) noted.add(exportId);
      failureCount = 0;
    } catch (error) {
      failureCount += 1;
      log.warn('progress.not_recorded', { error, failureCount });
      for (const exportId of exportIds) noted.add(exportId);
    }
  }

  return {
    name: 'progress-recorder',
    note(exportId) {
      noted.add(exportId);
      notifier.notify();
    },
    async run(signal) {
      while (!signal.aborted) {
        if (noted.size === 0) await notifier.wait(IDLE_MS, signal);
        await sleep(backoffMs(failureCount, BACKOFF), signal);
        await record();
      }
    },
  };
}
