import { randomUUID } from 'node:crypto';
import { type Lsn, parseLsn } from '../../../shared/domain/lsn.ts';
import { WAL_MESSAGES } from '../../../shared/protocol/wal-messages.ts';
import { ExportFailedError } from '../extraction-errors.ts';
import type { SourceSession } from '../source/source-session.ts';

/** Where the WAL is being written now, as the source sees it. */
export async function readInsertLsn(session: SourceSession): Promise<Lsn> {
  const { rows } = await session.query('select pg_current_wal_insert_lsn()::text as lsn');
  return parseLsn(rows[0]?.lsn ?? '');
}

/** Gives the feed something to pass, so that it settles past everything before it also on a quiet source. */
export async function sendHeartbeat(session: SourceSession): Promise<void> {
  await session.query('select pg_logical_emit_message(true, $1, $2)', [WAL_MESSAGES.heartbeat, '']);
}

/** Never used twice, so that a seal of a lost run can't stand for the present one. */
export function newSealToken(): string {
  return randomUUID();
}

/**
 * Sends the export's seal. Where the feed has passed it, everything that the snapshot saw is on disk, since WAL reaches
 * the feed only once it is flushed.
 */
export async function sendSeal(session: SourceSession, exportId: string, token: string): Promise<void> {
  // A synchronous standby that stalls holds up the answer to a commit, and the seal has no need of it.
  await session.query('set synchronous_commit = local');
  await assertSameServer(session);
  await session.query('select pg_logical_emit_message(true, $1, $2)', [
    WAL_MESSAGES.seal,
    JSON.stringify({ job_id: exportId, token }),
  ]);
}

/**
 * That this session, which was opened before the snapshot, still stands proves that the server has not crashed in
 * between: a crash can lose an asynchronous commit that the snapshot saw, and give its transaction ID to another.
 *
 * @throws ExportFailedError when something between us and the server replaces connections, since that proof is void then
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
