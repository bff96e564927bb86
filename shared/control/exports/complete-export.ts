import type { Pool } from 'pg';
import { inTransaction } from '../../postgres/transaction.ts';
import { enqueueOutbox } from '../enqueue-outbox.ts';
import type { ClaimedAssembly } from './claim-assembly.ts';

/** The rows of one resource, as a file or as a member of an archive. */
export interface ResourceFileFacts {
  readonly name: string;
  readonly resource: string;
  readonly rows: number;
  readonly bytes: number;
  /** In hexadecimal, of the file's bytes as they are downloaded or unpacked. */
  readonly sha256: string;
}

/** One published file, as `exports.files` and the manifest name it. */
export interface ExportFile extends Omit<ResourceFileFacts, 'resource'> {
  /** Null: an archive of all resources. */
  readonly resource: string | null;
  /** Where it is in storage. */
  readonly path: string;
  /** What is in an archive; its rows are theirs together. */
  readonly members?: readonly ResourceFileFacts[];
}

/**
 * Publishes an export: from this commit on its files are promised, so they and the manifest must be durable before.
 *
 * @returns false when the claim was over, and nothing is changed: a final state is never moved
 */
export function completeExport(
  pool: Pool,
  { exportId, runAttempt, owner }: ClaimedAssembly,
  files: readonly ExportFile[],
  retentionDays: number,
): Promise<boolean> {
  const rowCount = files.reduce((sum, file) => sum + file.rows, 0);
  return inTransaction(pool, async (client) => {
    const completed = await client.query(
      `update exports
       set status = 'completed', phase = 'done', files = $4, rows_extracted = $5, rows_written = $5,
         completed_at = now(), expires_at = now() + $6 * interval '1 day',
         lease_owner = null, lease_expires_at = null, assembly_owner = null, assembly_lease_expires_at = null
       where id = $1 and run_attempt = $2 and assembly_owner = $3 and status = 'running'`,
      [exportId, runAttempt, owner, JSON.stringify(files), rowCount, retentionDays],
    );
    if (completed.rowCount !== 1) return false;
    await enqueueOutbox(client, [
      {
        topic: 'jobs',
        key: exportId,
        type: 'JobCompleted',
        payload: { job_id: exportId, kind: 'export', rows: rowCount },
      },
    ]);
    return true;
  });
}
