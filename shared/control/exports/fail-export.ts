import type { Pool, PoolClient } from 'pg';
import { inTransaction } from '../../postgres/transaction.ts';
import type { ChunkAttempt } from '../chunks/chunk-attempts.ts';
import { enqueueOutbox } from '../outbox.ts';
import type { ClaimedAssembly } from './assembly.ts';

/** Why a writer gives an export up: `code` for programs, as part of the API; `message` for the customer. */
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
 * Fails the export of a chunk, unless its try is no longer the one that counts: then another try brings the rows.
 * The export's row is locked before the chunk is looked at, which is the order in which all services take the two.
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
     where id = $1 and status = 'running'`,
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
