import type { Pool, PoolClient } from 'pg';
import type { Queryable } from '../../postgres/queryable.ts';
import { inTransaction } from '../../postgres/transaction.ts';
import type { ChunkAttempt } from '../chunks/chunk-attempts.ts';
import { enqueueOutbox } from '../outbox.ts';
import type { ExportStatus } from '../state-machines.ts';
import type { ClaimedAssembly } from './assembly.ts';

/** Why an export failed: `code` for programs, `message` for the customer, without any data of records. */
export interface ExportFailure {
  readonly code: string;
  readonly message: string;
}

const FAIL_EXPORT = `
with ended as (
  update exports set status = 'failed', phase = 'done', completed_at = now(),
    error = jsonb_build_object('code', $3::text, 'message', $4::text),
    lease_owner = null, lease_expires_at = null
  where id = $1 and status = 'running' and run_attempt = $2
  returning id
)
insert into outbox (topic, key, type, payload)
select 'jobs', id, 'JobFailed',
  jsonb_build_object('job_id', id, 'kind', 'export', 'code', $3::text, 'message', $4::text)
from ended`;

/**
 * Ends a running export as failed, with its `JobFailed`. An export that has ended, is being cancelled, or is in a later
 * run than `runAttempt` stays as it is, so a late call never changes a final state.
 *
 * @returns whether this call ended it
 */
export async function failExport(
  db: Queryable,
  exportId: string,
  runAttempt: number,
  { code, message }: ExportFailure,
): Promise<boolean> {
  const { rowCount } = await db.query({
    name: 'fail_export',
    text: FAIL_EXPORT,
    values: [exportId, runAttempt, code, message],
  });
  return rowCount === 1;
}

/** A cancelling export that no live holder or reader has. */
const END_CANCELLED = `
with ended as (
  update exports e set status = 'cancelled', phase = 'done', completed_at = now(),
    lease_owner = null, lease_expires_at = null
  where e.status = 'cancelling'
    and (e.lease_owner is null or e.lease_expires_at < now())
    and not exists (
      select from export_chunks c
      where c.export_id = e.id and c.state = 'reading' and c.lease_expires_at >= now()
    )
  returning id
)
insert into outbox (topic, key, type, payload)
select 'jobs', id, 'JobCancelled', jsonb_build_object('job_id', id, 'kind', 'export')
from ended
returning key`;

/**
 * Ends every cancelling export that nobody holds any more, with its `JobCancelled`. Several processes may call it at
 * once. The writer removes what the export had written.
 *
 * @returns the IDs of those ended now
 */
export async function endCancelledExports(db: Queryable): Promise<string[]> {
  const { rows } = await db.query<{ key: string }>({ name: 'end_cancelled_exports', text: END_CANCELLED });
  return rows.map((row) => row.key);
}

/**
 * Asks a job to stop. A waiting job is cancelled at once. A running one is asked to stop, and ends when nobody holds it
 * any more. It locks the row first, so that exactly one of a simultaneous cancel and completion wins. Call it in a
 * transaction.
 *
 * @param accountId null finds exports of every account
 * @returns the status after it, unchanged for a job that has ended; undefined when there is no such job
 */
export async function cancelExport(
  db: Queryable,
  accountId: string | null,
  id: string,
): Promise<ExportStatus | undefined> {
  const { rows } = await db.query<{ status: ExportStatus }>(
    `select e.status from exports e where ($1::text is null or e.account_id = $1) and e.id = $2 for update`,
    [accountId, id],
  );
  const status = rows[0]?.status;
  if (status === 'pending' || status === 'paused') {
    await db.query(
      `update exports set status = 'cancelled', phase = 'done', completed_at = clock_timestamp() where id = $1`,
      [id],
    );
    await enqueueOutbox(db, [
      { topic: 'jobs', key: id, type: 'JobCancelled', payload: { job_id: id, kind: 'export' } },
    ]);
    return 'cancelled';
  }
  if (status === 'running') {
    await db.query(`update exports set status = 'cancelling' where id = $1`, [id]);
    await enqueueOutbox(db, [{ topic: 'commands', key: id, type: 'CancelJob', payload: { job_id: id } }]);
    return 'cancelling';
  }
  return status;
}

export interface EndedExport {
  readonly exportId: string;
  /** Whether its files are or were published. For others, everything in the export's folder can be removed. */
  readonly isPublished: boolean;
}

/**
 * Returns those of the given exports that have ended and that no writer is still assembling. Unknown ones are skipped.
 */
export async function findEndedExports(db: Queryable, exportIds: readonly string[]): Promise<EndedExport[]> {
  const { rows } = await db.query<{ id: string; is_published: boolean }>({
    name: 'find_ended_exports',
    text: `select id, status in ('completed', 'expired') as is_published from exports
           where id = any($1) and status in ('completed', 'failed', 'cancelled', 'expired')
             and (assembly_lease_expires_at is null or assembly_lease_expires_at < now())`,
    values: [exportIds],
  });
  return rows.map((row) => ({ exportId: row.id, isPublished: row.is_published }));
}

/** Why a writer fails an export: `code` for programs, as part of the API; `message` for the customer. */
export interface WriterFailure {
  readonly code:
    | 'row_count_mismatch'
    | 'row_unreadable'
    | 'storage_full'
    | 'storage_refused'
    | 'too_many_open_chunks'
    | 'part_lost'
    | 'assembly_failed';
  readonly message: string;
}

/**
 * Fails the export of a chunk, unless its attempt no longer counts: then another attempt provides the rows. It locks
 * the export's row before it reads the chunk, in the order of all services.
 *
 * @returns whether this call failed it
 */
export function failByChunk(
  pool: Pool,
  chunkAttempt: ChunkAttempt,
  failure: WriterFailure,
): Promise<boolean> {
  const { exportId, resource, chunk, attempt } = chunkAttempt;
  return inTransaction(pool, async (client) => {
    await client.query('select from exports where id = $1 for update', [exportId]);
    const { rowCount } = await client.query(
      `select from export_chunks
       where export_id = $1 and resource = $2 and chunk = $3 and attempt = $4 and rows_written is null`,
      [exportId, resource, chunk, attempt],
    );
    return rowCount === 1 && endAsFailed(client, exportId, failure);
  });
}

/** Fails the export of an assembly that this writer still holds. @returns whether this call failed it */
export function failByAssembly(
  pool: Pool,
  { exportId, owner }: ClaimedAssembly,
  failure: WriterFailure,
): Promise<boolean> {
  return inTransaction(pool, async (client) => {
    const { rowCount } = await client.query(
      'select from exports where id = $1 and assembly_owner = $2 for update',
      [exportId, owner],
    );
    return rowCount === 1 && endAsFailed(client, exportId, failure);
  });
}

async function endAsFailed(client: PoolClient, exportId: string, failure: WriterFailure): Promise<boolean> {
  const { rowCount } = await client.query(
    `update exports
     set status = 'failed', phase = 'done', error = $2, completed_at = now(),
       lease_owner = null, lease_expires_at = null, assembly_owner = null, assembly_lease_expires_at = null
     where id = $1 and status in ('running', 'pending', 'paused')`,
    [exportId, JSON.stringify(failure)],
  );
  if (rowCount !== 1) return false;
  await enqueueOutbox(client, [
    {
      topic: 'jobs',
      key: exportId,
      type: 'JobFailed',
      payload: { job_id: exportId, kind: 'export', ...failure },
    },
  ]);
  return true;
}
