import { randomUUID } from 'node:crypto';
import type { TableName } from '../../../shared/domain/catalog.ts';
import { type Lsn, parseLsn } from '../../../shared/domain/lsn.ts';
import { parseSnapshot, type Snapshot } from '../../../shared/domain/snapshot.ts';
import { quoteTable } from '../../../shared/postgres/quote.ts';
import { WAL_MESSAGES } from '../../../shared/protocol/wal-messages.ts';
import { sleep } from '../../../shared/runtime/sleep.ts';
import { ExportFailedError, TableWantedError } from '../extraction-errors.ts';
import { isSqlState, LOCK_NOT_AVAILABLE, type SourceSession } from '../source/source-session.ts';

/** A snapshot as a statement has seen it. */
export interface SeenSnapshot {
  readonly snapshot: Snapshot;
  /** WAL insert position after the snapshot: everything that the snapshot sees was written before it. */
  readonly lsn: string;
  /** RFC 3339, UTC. */
  readonly takenAt: string;
}

/** A snapshot that the session keeps open, so that other sessions can import it. */
export interface HeldSnapshot extends SeenSnapshot {
  /** For `SET TRANSACTION SNAPSHOT`. */
  readonly name: string;
}

/** Each attempt waits up to the session's lock_timeout, then releases its locks. After some 20 s the run gives way. */
const LOCK_ATTEMPTS = 15;
const LOCK_PAUSE_MS = 1_000;

/** Begins a transaction that has these tables and no snapshot yet, in one round trip. After a failure it is still open. */
export function beginWithLocksSql(tables: readonly TableName[]): string {
  const lock = `lock table ${tables.map(quoteTable).join(', ')} in access share mode`;
  return `begin isolation level repeatable read, read only; ${lock}`;
}

/**
 * Takes the export's snapshot. It locks the tables first, because LOCK does not fix the snapshot. Without the lock, after a
 * TRUNCATE or a rewriting ALTER between snapshot and read, a table would look empty without an error.
 *
 * @throws TableWantedError when a table stays locked
 */
export async function takeSnapshot(
  session: SourceSession,
  tables: readonly TableName[],
  signal: AbortSignal,
  lockAttempts: number = LOCK_ATTEMPTS,
): Promise<HeldSnapshot> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await session.query(beginWithLocksSql(tables));
      break;
    } catch (error) {
      await session.query('rollback');
      if (!isSqlState(error, LOCK_NOT_AVAILABLE)) throw error;
      signal.throwIfAborted();
      if (attempt === lockAttempts) throw new TableWantedError('snapshot', { cause: error });
      await sleep(LOCK_PAUSE_MS, signal);
    }
  }
  const { rows } = await session.query(
    `select pg_current_snapshot()::text as snapshot, pg_current_wal_insert_lsn()::text as lsn,
       pg_export_snapshot() as name,
       to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as taken_at`,
  );
  const { snapshot, lsn, name, taken_at: takenAt } = rows[0] ?? {};
  if (snapshot == null || lsn == null || name == null || takenAt == null) {
    throw new Error('the source gave no snapshot');
  }
  return { snapshot: parseSnapshot(snapshot), name, lsn, takenAt };
}

/** Reads a snapshot without holding it: one statement. */
export async function lookAtSnapshot(session: SourceSession): Promise<SeenSnapshot> {
  const { rows } = await session.query(
    `select pg_current_snapshot()::text as snapshot, pg_current_wal_insert_lsn()::text as lsn,
       to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as taken_at`,
  );
  const { snapshot, lsn, taken_at: takenAt } = rows[0] ?? {};
  if (snapshot == null || lsn == null || takenAt == null) throw new Error('the source gave no snapshot');
  return { snapshot: parseSnapshot(snapshot), lsn, takenAt };
}

/**
 * Makes durable what this session has seen. A crash can lose an asynchronous commit that a snapshot saw; a crash before
 * this returns ends the session.
 */
export async function makeSeenDurable(session: SourceSession): Promise<void> {
  // A stalled synchronous standby delays a commit's response, and what is on this server's disk is enough.
  await session.query('set synchronous_commit = local');
  await sendHeartbeat(session);
  await assertSameServer(session);
}

/** The source's WAL insert position. */
export async function readInsertLsn(session: SourceSession): Promise<Lsn> {
  const { rows } = await session.query('select pg_current_wal_insert_lsn()::text as lsn');
  return parseLsn(rows[0]?.lsn ?? '');
}

/** Writes a WAL message, so that the feed settles past everything before it even on a quiet source. */
export async function sendHeartbeat(session: SourceSession): Promise<void> {
  await session.query('select pg_logical_emit_message(true, $1, $2)', [WAL_MESSAGES.heartbeat, '']);
}

/** A unique token, so that the seal of a lost run does not pass for that of the present one. */
export function newSealToken(): string {
  return randomUUID();
}

/**
 * Sends the export's seal, a barrier message. Once the feed has passed it, everything that the snapshot sees is on
 * disk, because WAL reaches the feed only once it is flushed.
 *
 * @returns the WAL insert position behind the message
 * @throws as `assertSameServer`
 */
export async function sendSeal(session: SourceSession, exportId: string, token: string): Promise<Lsn> {
  const { rows } = await session.query(
    // A stalled synchronous standby delays a commit's response, and the seal does not need it.
    `select pg_backend_pid()::text as pid, set_config('synchronous_commit', 'local', false),
       pg_logical_emit_message(true, $1, $2), pg_current_wal_insert_lsn()::text as lsn`,
    [WAL_MESSAGES.seal, JSON.stringify({ job_id: exportId, token })],
  );
  assertSameProcess(session, rows[0]?.pid);
  return parseLsn(rows[0]?.lsn ?? '');
}

/**
 * This session was opened before the snapshot. That it is still open proves that the server has not crashed since: a
 * crash can lose an asynchronous commit that the snapshot saw, and reuse its transaction ID.
 *
 * @throws ExportFailedError when a pooler replaces connections, which voids the proof
 */
export async function assertSameServer(session: SourceSession): Promise<void> {
  const { rows } = await session.query('select pg_backend_pid()::text as pid');
  assertSameProcess(session, rows[0]?.pid);
}

function assertSameProcess(session: SourceSession, pid: string | null | undefined): void {
  if (pid === session.backendPid) return;
  throw new ExportFailedError(
    'source_refused',
    'The connection to the source changes its server process, as behind a pooler: ' +
      'set DATABASE_URL to the server itself, or to a pool in session mode.',
  );
}
