import type { BulkRequest, ListedItem } from '../../domain/bulk.ts';
import type { Queryable } from '../../postgres/queryable.ts';
import { enqueueOutbox } from '../enqueue-outbox.ts';
import { cutChunks, insertChunks } from './bulk-chunks.ts';

export interface NewBulkJob {
  readonly id: string;
  readonly accountId: string;
  readonly request: BulkRequest;
  readonly fileId: string | null;
  readonly estimated: number;
  /** The whole list, where the request named its items. */
  readonly items: readonly ListedItem[] | undefined;
  readonly chunkItems: number;
}

/** Makes the job, and with it the list of its items if that is known. */
export async function insertBulkJob(db: Queryable, job: NewBulkJob): Promise<void> {
  await db.query(
    `insert into bulk_jobs (id, account_id, resource, operation, request, file_id, status, estimated, total, listed_at)
     values ($1, $2, $3, $4, $5, $6, 'pending', $7, $8::bigint, case when $8::bigint is not null then clock_timestamp() end)`,
    [
      job.id,
      job.accountId,
      job.request.resource,
      job.request.operation,
      JSON.stringify(job.request),
      job.fileId,
      job.estimated,
      job.items?.length ?? null,
    ],
  );
  if (job.items !== undefined) {
    await insertChunks(db, job.id, cutChunks(job.items, job.chunkItems, { chunk: 0, seq: 0 }));
  }
  const payload = { job_id: job.id, kind: 'bulk' as const, account_id: job.accountId };
  await enqueueOutbox(db, [{ topic: 'jobs', key: job.id, type: 'JobCreated', payload }]);
}

/** Jobs of one account that have not ended, oldest first, and how many of them wait for their turn. Until the transaction ends no other request of it adds one. */
export async function lockActiveBulkJobs(
  db: Queryable,
  accountId: string,
): Promise<{ active: { id: string; status: string }[]; queuedCount: number }> {
  await db.query(`select pg_advisory_xact_lock(hashtextextended('tandem.bulk.' || $1, 0))`, [accountId]);
  const { rows } = await db.query<{ id: string; status: string; is_queued: boolean }>(
    `select id, status, status = 'pending' and admitted_at is null as is_queued from bulk_jobs
     where account_id = $1 and status in ('pending', 'running', 'paused') order by created_at, id`,
    [accountId],
  );
  return {
    active: rows.map(({ id, status }) => ({ id, status })),
    queuedCount: rows.filter((row) => row.is_queued).length,
  };
}
