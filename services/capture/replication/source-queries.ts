import pg from 'pg';
import { type Lsn, parseLsn } from '../../../shared/domain/lsn.ts';
import { parseSnapshot, type Snapshot } from '../../../shared/domain/snapshot.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import type { Notifier } from '../../../shared/runtime/notifier.ts';
import { backoffMs } from '../../../shared/runtime/retry.ts';
import { sleep } from '../../../shared/runtime/sleep.ts';

/** The source could not be queried: it is down, restarting, or unreachable. The query can be repeated later. */
export class SourceLostError extends Error {
  override readonly name = 'SourceLostError';
}

/**
 * Separates the server's errors, which are responses, from connection errors. Node-pg reports the latter as plain
 * errors that differ only in their text.
 *
 * @throws SourceLostError from `query`, with the plain error as its cause
 */
export function createSourceQueries(pool: Queryable): Queryable {
  return {
    query: async (query, values) => {
      try {
        return await pool.query(query, values);
      } catch (cause) {
        if (cause instanceof pg.DatabaseError) throw cause;
        throw new SourceLostError('the source does not respond', { cause });
      }
    },
  };
}

/** Whether the table has partitions, or may get some. */
export async function isPartitioned(db: Queryable, oid: number): Promise<boolean> {
  const { rowCount } = await db.query(`select from pg_class where oid = $1::oid and relkind = 'p'`, [oid]);
  return rowCount === 1;
}

/** A streamed commit usually becomes visible within milliseconds, so faster polling gains little. */
const BUSY_INTERVAL_MS = 50;
/** Keeps `xmax`, which xids are widened by, recent. */
const QUIET_INTERVAL_MS = 1_000;

export async function readSnapshot(db: Queryable): Promise<Snapshot> {
  const { rows } = await db.query<{ snapshot: string }>('select pg_current_snapshot()::text as snapshot');
  return parseSnapshot(rows[0]?.snapshot ?? '');
}

/**
 * An xid above every xid assigned so far. It consumes one. A snapshot's `xmax` would not do: it is only above finished
 * transactions, and a commit that is streamed but not visible has not finished.
 */
export async function readNextXid(db: Queryable): Promise<bigint> {
  const { rows } = await db.query<{ xid: string }>('select pg_current_xact_id()::text as xid');
  return BigInt(rows[0]?.xid ?? '');
}

export interface SnapshotPoll {
  readonly db: Queryable;
  readonly isBusy: () => boolean;
  readonly onSnapshot: (snapshot: Snapshot) => void;
  /** Notified when somebody waits for the feed to settle; then it polls at once. */
  readonly notifier: Notifier;
  readonly log: Log;
}

/** Polls until the signal aborts. A failed poll is logged and retried: until then nothing settles, and nothing is lost. */
export async function pollSnapshots(
  { db, isBusy, onSnapshot, notifier, log }: SnapshotPoll,
  signal: AbortSignal,
): Promise<void> {
  let failureCount = 0;
  while (!signal.aborted) {
    try {
      onSnapshot(await readSnapshot(db));
      failureCount = 0;
      await notifier.wait(isBusy() ? BUSY_INTERVAL_MS : QUIET_INTERVAL_MS, signal);
    } catch (error) {
      if (signal.aborted) return;
      log.warn('snapshot.failed', { error, failureCount });
      await sleep(backoffMs(failureCount, { initialMs: 100, maxMs: 5_000 }), signal);
      failureCount += 1;
    }
  }
}

export interface SlotStatus {
  readonly plugin: string;
  /** False for a logical slot of another database. */
  readonly isOfThisDatabase: boolean;
  readonly isTemporary: boolean;
  /** The process that streams from it; null when none does. */
  readonly activePid: number | null;
  /** The server cannot send all changes any more: it removed WAL, or invalidated the slot for another reason. */
  readonly isLost: boolean;
  readonly confirmedFlushLsn: Lsn;
}

/** Another process streams from the slot: a second instance is on standby until it is free. */
export class SlotHeldError extends Error {
  override readonly name = 'SlotHeldError';
  readonly activePid: number | null;

  constructor(slotName: string, activePid: number | null) {
    super(`slot ${slotName} is held by another process`);
    this.activePid = activePid;
  }
}

interface SlotRow {
  plugin: string | null;
  is_here: string;
  temporary: string;
  active_pid: string | null;
  lost: string;
  confirmed_flush_lsn: string | null;
}

/** Casts to text, so that the result does not depend on the session's type parsers. */
const READ_SLOT = `
select plugin::text,
       (database is not distinct from current_database())::text as is_here,
       temporary::text,
       active_pid::text,
       (coalesce(wal_status, '') = 'lost'
         or to_jsonb(s)->>'invalidation_reason' is not null)::text as lost,
       confirmed_flush_lsn::text
from pg_replication_slots s where slot_name = $1`;

/** @returns undefined when there is no such slot */
export async function readSlot(db: Queryable, slotName: string): Promise<SlotStatus | undefined> {
  const { rows } = await db.query<SlotRow>(READ_SLOT, [slotName]);
  const row = rows[0];
  if (row === undefined) return undefined;
  return {
    plugin: row.plugin ?? '(none, a physical slot)',
    isOfThisDatabase: row.is_here === 'true',
    isTemporary: row.temporary === 'true',
    activePid: row.active_pid === null ? null : Number(row.active_pid),
    isLost: row.lost === 'true',
    confirmedFlushLsn: parseLsn(row.confirmed_flush_lsn ?? '0/0'),
  };
}

/** @throws SetupError for a slot that can't be streamed from as a feed, whatever its state */
export function checkSlotKind(slotName: string, slot: SlotStatus): void {
  const findings: string[] = [];
  if (slot.plugin !== 'pgoutput') findings.push(`its plugin is ${slot.plugin}, needed is pgoutput`);
  if (!slot.isOfThisDatabase) findings.push('it belongs to another database of the server');
  if (slot.isTemporary) findings.push('it is temporary, and would be gone with its session');
  if (findings.length === 0) return;
  throw new SetupError(`the replication slot ${slotName} is not usable`, [
    ...findings,
    'set another SLOT_NAME, or drop the slot, and run `tandem source prepare`',
  ]);
}
