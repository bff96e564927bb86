import { formatLsn, type Lsn, parseLsn } from '../../../shared/domain/lsn.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { WAL_MESSAGES } from '../../../shared/protocol/wal-messages.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { sleep } from '../../../shared/runtime/sleep.ts';

// Messages without content that move the source's WAL: past a position, or forward while it is quiet.

/** More than a standby lags in any ordinary failover. Written within about ten seconds. */
const MAX_FILL_BYTES = 1_024n * 1_024n * 1_024n;
const MESSAGE_BYTES = 1_024 * 1_024;
/** About 32 MB per statement, well within a query's time limit. */
const MAX_MESSAGES_AT_ONCE = 32;
/** An asynchronous commit is flushed by the server's WAL writer within a second. */
const CHECK_INTERVAL_MS = 50;

/**
 * Moves the source's WAL past a position by writing meaningless messages. A promoted standby may lack some of what the
 * old primary streamed, and a restored server lacks more. Their next changes would get positions that other changes had
 * and that every cursor has passed.
 *
 * @returns the durable WAL position, which is past the given one
 * @throws SetupError when the server is further behind than this writes
 */
export async function passWal(source: Queryable, position: Lsn, signal: AbortSignal): Promise<Lsn> {
  for (;;) {
    signal.throwIfAborted();
    const { insertLsn, flushLsn } = await readWalEnds(source);
    // A position that is not durable could be assigned again after a crash.
    if (flushLsn > position) return flushLsn;
    const missingBytes = position - insertLsn;
    if (missingBytes > MAX_FILL_BYTES) throw tooFarBehind(position, insertLsn, missingBytes);
    if (missingBytes >= 0n) {
      const messageCount = Math.min(Number(missingBytes / BigInt(MESSAGE_BYTES)) + 1, MAX_MESSAGES_AT_ONCE);
      await source.query(
        `select count(pg_logical_emit_message(false, '${WAL_MESSAGES.skip}', repeat('.', ${MESSAGE_BYTES})))
         from generate_series(1, $1::int)`,
        [String(messageCount)],
      );
    }
    await source.query(`select pg_logical_emit_message(true, '${WAL_MESSAGES.skip}', '')`);
    await sleep(CHECK_INTERVAL_MS, signal);
  }
}

async function readWalEnds(source: Queryable): Promise<{ insertLsn: Lsn; flushLsn: Lsn }> {
  const { rows } = await source.query<{ inserted: string; flushed: string }>(
    'select pg_current_wal_insert_lsn()::text as inserted, pg_current_wal_flush_lsn()::text as flushed',
  );
  return { insertLsn: parseLsn(rows[0]?.inserted ?? ''), flushLsn: parseLsn(rows[0]?.flushed ?? '') };
}

function tooFarBehind(position: Lsn, insertLsn: Lsn, missingBytes: bigint): SetupError {
  return new SetupError(
    `the source's WAL is at ${formatLsn(insertLsn)}, ${missingBytes / 1_024n / 1_024n} MB before ${formatLsn(position)}, ` +
      'where the feed has been already: positions must not be used twice',
    [
      `bring it past that, then start capture again: run SELECT pg_switch_wal() after small writes until ` +
        `pg_current_wal_lsn() is greater, or stop the server and use pg_resetwal -l`,
    ],
  );
}

export interface Heartbeat {
  readonly db: Queryable;
  readonly intervalMs: number;
  /** Number of transactions so far. A heartbeat is sent only when none came since the last check. */
  readonly transactionCount: () => number;
  readonly log: Log;
}

/**
 * Writes a transaction of its own while no other comes, so that the slot's confirmed position moves, and the server can
 * remove WAL, even when the published tables are quiet and others are busy.
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
