import type { Log } from '../../../shared/runtime/log.ts';
import type { Attempt } from '../store/record-attempts.ts';

const FLUSH_INTERVAL_MS = 200;
const MAX_ROWS_AT_ONCE = 500;

/** Beyond this the oldest are forgotten: a log that can't be written must not fill the memory. */
const MAX_WAITING = 10_000;

/** Notes attempts beside the deliveries, which never wait for it: a note that is lost costs a line in a list. */
export interface AttemptLog {
  note(attempt: Attempt): void;
  /** Writes what is there; for the end. */
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
        // Not written again: a batch that always fails would then be all that is ever written.
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
