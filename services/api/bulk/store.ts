import type { Pool } from 'pg';
import type { RecentError } from '../../../shared/bulk/ledger.ts';
import { cutChunks, insertChunks } from '../../../shared/control/bulk/bulk-chunks.ts';
import { enqueueOutbox } from '../../../shared/control/enqueue-outbox.ts';
import type { Place } from '../../../shared/control/queue-place.ts';
import type { BulkRequest, BulkStatus, ListedItem } from '../../../shared/domain/bulk.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { inTransaction } from '../../../shared/postgres/transaction.ts';

/** 64-bit numbers come as texts. */
export interface BulkJobRow {
  id: string;
  account_id: string;
  resource: string;
  operation: string;
  semantics: BulkRequest['semantics'];
  status: BulkStatus;
  pause_reason: 'requested' | 'quota' | 'handler' | 'feed' | null;
  resumes_at: Date | null;
  ending: string | null;
  error: { code: string; message: string } | null;
  total: string | null;
  estimated: string;
  processed: string;
  succeeded: string;
  failed: string;
  skipped: string;
  error_counts: Record<string, number>;
  recent_errors: RecentError[];
  rate: number | null;
  queue_position: number | null;
  created_at: Date;
  created_at_text: string;
  started_at: Date | null;
  last_updated_at: Date;
  ended_at: Date | null;
}

/** `$1` is the account in each statement; null finds jobs of every account. */
const OF_ACCOUNT = '($1::text is null or j.account_id = $1)';

const COLUMNS = `
  j.id, j.account_id, j.resource, j.operation, j.semantics, j.status, j.pause_reason, j.resumes_at, j.ending, j.error, j.total,
  j.estimated, j.processed, j.succeeded, j.failed, j.skipped, j.error_counts, j.recent_errors, j.rate,
  j.created_at, j.created_at::text as created_at_text, j.started_at, j.last_updated_at, j.ended_at,
  case when j.status = 'pending' and j.admitted_at is null then (
    select count(*)::int from bulk_jobs q
    where q.status = 'pending' and q.admitted_at is null and q.account_id = j.account_id and (q.created_at, q.id) <= (j.created_at, j.id)
  ) end as queue_position`;

export async function findBulkJob(
  db: Queryable,
  accountId: string | null,
  id: string,
): Promise<BulkJobRow | undefined> {
  const { rows } = await db.query<BulkJobRow>({
    name: 'find_bulk_job',
    text: `select ${COLUMNS} from bulk_jobs j where ${OF_ACCOUNT} and j.id = $2`,
    values: [accountId, id],
  });
  return rows[0];
}

/** Newest first. */
export async function listBulkJobs(
  db: Queryable,
  accountId: string | null,
  status: string | undefined,
  after: Place | undefined,
  limit: number,
): Promise<BulkJobRow[]> {
  const { rows } = await db.query<BulkJobRow>(
    `select ${COLUMNS} from bulk_jobs j
     where ${OF_ACCOUNT} and ($2::text is null or j.status = $2)
       and ($3::text is null or (j.created_at, j.id) < ($3::timestamptz, $4::text))
     order by j.created_at desc, j.id desc limit $5`,
    [accountId, status ?? null, after?.at ?? null, after?.id ?? null, limit],
  );
  return rows;
}

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

/** What asking a job for something came to: its status after it, or undefined when there is no such job. */
export type Asked = BulkStatus | undefined;

/**
 * Asks a job to stop. One that nobody has begun on is cancelled at once; otherwise no chunk is claimed from here on, and the
 * workers end it when those in hand are reported, so that its counts hold everything that was done.
 */
export function cancelBulkJob(pool: Pool, accountId: string | null, id: string): Promise<Asked> {
  return inTransaction(pool, async (db) => {
    const status = await lockJob(db, accountId, id);
    if (status === undefined || isEnded(status)) return status;
    const begun = await db.query(
      `select from bulk_chunks where job_id = $1 and attempt > 0 and state <> 'done' limit 1`,
      [id],
    );
    if (begun.rowCount === 1) {
      await db.query(`update bulk_jobs set ending = coalesce(ending, 'cancelled') where id = $1`, [id]);
      return status;
    }
    await db.query(
      `update bulk_jobs set status = 'cancelled', ending = null, pause_reason = null, lease_owner = null,
         total = coalesce(total, estimated),
         ended_at = clock_timestamp(), last_updated_at = clock_timestamp() where id = $1`,
      [id],
    );
    await enqueueOutbox(db, [
      { topic: 'jobs', key: id, type: 'JobCancelled', payload: { job_id: id, kind: 'bulk' } },
    ]);
    return 'cancelled';
  });
}

/**
 * Chunks in hand are finished; no other is begun. A job that does not run yet gives its turn up, and its items are listed when it has
 * the next one: they are those of when it starts.
 */
export function pauseBulkJob(pool: Pool, accountId: string | null, id: string): Promise<Asked> {
  return inTransaction(pool, async (db) => {
    const status = await lockJob(db, accountId, id);
    if (status === undefined || isEnded(status)) return status;
    await db.query(
      `update bulk_jobs set status = 'paused', pause_reason = 'requested', last_updated_at = clock_timestamp(),
         admitted_at = case when started_at is null then null else admitted_at end,
         lease_owner = case when started_at is null then null else lease_owner end,
         lease_expires_at = case when started_at is null then null else lease_expires_at end
       where id = $1 and ending is null`,
      [id],
    );
    return 'paused';
  });
}

/** A job that had not started takes its place in the queue again. The pause is no part of the rate that the ETA goes by. */
export function resumeBulkJob(
  pool: Pool,
  accountId: string | null,
  id: string,
  nowMs: number,
): Promise<Asked> {
  return inTransaction(pool, async (db) => {
    const status = await lockJob(db, accountId, id);
    if (status !== 'paused') return status;
    await db.query(
      `update bulk_jobs set status = case when started_at is null then 'pending' else 'running' end, pause_reason = null,
         rate = null, rate_at = $2, rate_processed = processed, last_updated_at = clock_timestamp() where id = $1`,
      [id, new Date(nowMs)],
    );
    return 'running';
  });
}

async function lockJob(db: Queryable, accountId: string | null, id: string): Promise<Asked> {
  const { rows } = await db.query<{ status: BulkStatus }>(
    `select j.status from bulk_jobs j where ${OF_ACCOUNT} and j.id = $2 for update`,
    [accountId, id],
  );
  return rows[0]?.status;
}

export function isEnded(status: BulkStatus): boolean {
  return status === 'cancelled' || status === 'completed' || status === 'failed';
}

/**
 * Results before this place are final, and pages of them the same whenever they are read. Undefined: all are.
 */
export async function finalUntil(db: Queryable, job: BulkJobRow): Promise<number | undefined> {
  if (isEnded(job.status)) return undefined;
  const { rows } = await db.query<{ seq: number | null }>(
    `select case when j.listed_at is null then j.listed_items::int
       else least(
         (select c.first_seq from bulk_chunks c where c.job_id = j.id and c.state = 'waiting' order by c.chunk limit 1),
         (select min(c.first_seq) from bulk_chunks c where c.job_id = j.id and c.state = 'working')) end as seq
     from bulk_jobs j where j.id = $1`,
    [job.id],
  );
  return rows[0]?.seq ?? undefined;
}

/** Items a second of the last completed jobs of an operation; null when there was none. */
export async function recentBulkRate(
  db: Queryable,
  resource: string,
  operation: string,
): Promise<number | null> {
  const { rows } = await db.query<{ rate: number | null }>(
    `select (sum(processed) / nullif(sum(extract(epoch from ended_at - started_at)), 0))::float8 as rate
     from (select processed, ended_at, started_at from bulk_jobs
           where status = 'completed' and resource = $1 and operation = $2 and processed > 0
           order by created_at desc limit 10) last`,
    [resource, operation],
  );
  return rows[0]?.rate ?? null;
}
