import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { WAL_MESSAGES } from '../../../shared/protocol/wal-messages.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { sleep } from '../../../shared/runtime/sleep.ts';

export interface Heartbeat {
  readonly db: Queryable;
  readonly intervalMs: number;
  /** Counts the transactions that have come by; a beat is sent only when none has since the last look. */
  readonly transactionCount: () => number;
  readonly log: Log;
}

/**
 * Sends a transaction of its own through the WAL while nothing else comes by, so that the slot's confirmed position
 * moves, and with it the WAL that the server keeps, also where the published tables are quiet and the rest is busy.
 */
export async function beat(
  { db, intervalMs, transactionCount, log }: Heartbeat,
  signal: AbortSignal,
): Promise<void> {
  let seen = transactionCount();
  for (;;) {
    await sleep(intervalMs, signal);
    if (signal.aborted) return;
    const count = transactionCount();
    if (count === seen) {
      await db
        .query(`select pg_logical_emit_message(true, '${WAL_MESSAGES.heartbeat}', '')`)
        .catch((error: unknown) => log.warn('heartbeat.failed', { error }));
    }
    seen = count;
  }
}
