import type { Log } from '../../../shared/runtime/log.ts';
import type { Attempt } from '../store/record-attempts.ts';

const FLUSH_INTERVAL_MS = 200;
const MAX_ROWS_AT_ONCE = 500;

/** Limit of entries in memory. Beyond it the oldest are dropped, so that an unwritable log cannot exhaust memory. */
const MAX_WAITING = 10_000;

/**
 * Records attempts in the background. Deliveries never wait for it; a lost entry only means a missing line in the
 * owner's list.
 */
export interface AttemptLog {
  note(attempt: Attempt): void;
  /** Writes all entries that wait. For shutdown. */
  flush(): Promise<void>;
}

export function createAttemptLog(
  write: (attempts: readonly Attempt[]) => Promise<void>,
  log: Log,
): AttemptLog {
  let waiting: Attempt[] = [];
  let droppedCount = 0;
  let timer: NodeJS.Timeout | undefined;

  const flush = async () => {
    while (waiting.length > 0) {
      const batch = waiting.splice(0, MAX_ROWS_AT_ONCE);
      try {
        await write(batch);
      } catch (error) {
        // A failed batch is dropped, not repeated: one that always fails would block all later entries.
        droppedCount += batch.length;
        log.warn('attempts.not_recorded', { count: batch.length, droppedCount, error });
        return;
      }
    }
  };

  const schedule = () => {
    timer ??= setTimeout(async () => {
      await flush();
      timer = undefined;
      if (waiting.length > 0) schedule();
    }, FLUSH_INTERVAL_MS);
  };

  return {
    note(attempt) {
      waiting.push(attempt);
      if (waiting.length > MAX_WAITING) {
        waiting = waiting.slice(-MAX_WAITING / 2);
        droppedCount += MAX_WAITING / 2;
        log.warn('attempts.dropped', { droppedCount });
      }
      schedule();
    },
    async flush() {
      clearTimeout(timer);
      timer = undefined;
      await flush();
    },
  };
}
