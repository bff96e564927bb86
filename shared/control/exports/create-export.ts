import type { ExportRequest } from '../../domain/export-request.ts';
import type { Queryable } from '../../postgres/queryable.ts';
import { enqueueOutbox } from '../outbox.ts';

export interface NewExport {
  readonly id: string;
  /** Null: all accounts at once. */
  readonly accountId: string | null;
  readonly request: ExportRequest;
  readonly resources: readonly string[];
  readonly rowsEstimated: number | null;
}

/** Makes the job and what tells the extractors of it. Call it in a transaction: a broker that is down loses no job. */
export async function insertExport(db: Queryable, job: NewExport): Promise<void> {
  await db.query(
    `insert into exports (id, account_id, request, resources, status, phase, rows_estimated)
     values ($1, $2, $3, $4, 'pending', 'queued', $5)`,
    [job.id, job.accountId, JSON.stringify(job.request), job.resources, job.rowsEstimated],
  );
  await enqueueOutbox(db, [
    { topic: 'commands', key: job.id, type: 'ExtractExport', payload: { job_id: job.id } },
    {
      topic: 'jobs',
      key: job.id,
      type: 'JobCreated',
      payload: { job_id: job.id, kind: 'export', account_id: job.accountId },
    },
  ]);
}

/** Jobs of one account that wait or run, oldest first. Until the transaction ends no other request of it adds one. */
export async function lockActiveExports(
  db: Queryable,
  accountId: string | null,
): Promise<{ id: string; status: string }[]> {
  await db.query(`select pg_advisory_xact_lock(hashtextextended('tandem.exports.' || $1, 0))`, [
    accountId ?? '*',
  ]);
  const { rows } = await db.query<{ id: string; status: string }>(
    `select id, status from exports
     where account_id is not distinct from $1 and status in ('pending', 'running', 'cancelling')
     order by created_at, id`,
    [accountId],
  );
  return rows;
}
