import { randomUUID } from 'node:crypto';
import { type Lsn, parseLsn } from '../../../shared/domain/lsn.ts';
import { WAL_MESSAGES } from '../../../shared/protocol/wal-messages.ts';
import { ExportFailedError } from '../extraction-errors.ts';
import type { SourceSession } from '../source/source-session.ts';

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
 */
export async function sendSeal(session: SourceSession, exportId: string, token: string): Promise<void> {
  // A stalled synchronous standby delays a commit's response, and the seal does not need it.
  await session.query('set synchronous_commit = local');
  await assertSameServer(session);
  await session.query('select pg_logical_emit_message(true, $1, $2)', [
    WAL_MESSAGES.seal,
    JSON.stringify({ job_id: exportId, token }),
  ]);
}

/**
 * This session was opened before the snapshot. That it is still open proves that the server has not crashed since: a
 * crash can lose an asynchronous commit that the snapshot saw, and reuse its transaction ID.
 *
 * @throws ExportFailedError when a pooler replaces connections, which voids the proof
 */
export async function assertSameServer(session: SourceSession): Promise<void> {
  const { rows } = await session.query('select pg_backend_pid()::text as pid');
  if (rows[0]?.pid === session.backendPid) return;
  throw new ExportFailedError(
    'source_refused',
    'The connection to the source changes its server process, as behind a pooler: ' +
      'set DATABASE_URL to the server itself, or to a pool in session mode.',
  );
}
