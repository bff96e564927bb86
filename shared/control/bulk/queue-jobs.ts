import type { Pool } from 'pg';
import type { BulkRequest, ListedItem } from '../../domain/bulk.ts';
import { type QuotaPeriod, spanOf } from '../../domain/quota-period.ts';
import type { Queryable } from '../../postgres/queryable.ts';
import { inTransaction } from '../../postgres/transaction.ts';
import { currentTrace } from '../../runtime/tracing.ts';
import { ADVISORY_LOCKS } from '../advisory-locks.ts';
import { enqueueOutbox, type OutboxEntry } from '../outbox.ts';
import { cutChunks, insertChunks } from './bulk-chunks.ts';
import { toRange } from './bulk-quota.ts';

// The queue of bulk jobs: a job is inserted at its end, and started when its account has room and quota.

export interface NewBulkJob {
  readonly id: string;
  readonly accountId: string;
  readonly request: BulkRequest;
  readonly fileId: string | null;
  readonly estimated: number;
  /** The whole list, when the request names its items. */
  readonly items: readonly ListedItem[] | undefined;
  readonly chunkItems: number;
}

/** Inserts the job in the current trace, with its list of items if that is known. */
export async function insertBulkJob(db: Queryable, job: NewBulkJob): Promise<void> {
  await db.query(
    `insert into bulk_jobs (id, account_id, resource, operation, request, file_id, status, estimated, total, listed_at, traceparent)
     values ($1, $2, $3, $4, $5, $6, 'pending', $7, $8::bigint, case when $8::bigint is not null then clock_timestamp() end, $9)`,
    [
      job.id,
      job.accountId,
      job.request.resource,
      job.request.operation,
      JSON.stringify(job.request),
      job.fileId,
      job.estimated,
      job.items?.length ?? null,
      currentTrace()?.traceparent ?? null,
    ],
  );
  if (job.items !== undefined) {
    await insertChunks(db, job.id, cutChunks(job.items, job.chunkItems, { chunk: 0, seq: 0 }));
  }
  const payload = { job_id: job.id, kind: 'bulk' as const, account_id: job.accountId };
  await enqueueOutbox(db, [{ topic: 'jobs', key: job.id, type: 'JobCreated', payload }]);
}

/**
 * Locks the account's queue until the transaction ends, and returns its jobs that have not ended, oldest first, with
 * the number of those that wait.
 */
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

/**
 * Starts jobs: the oldest of each account, as many as it may have at once. A job with known items runs at once, any
 * other after its items are listed; it counts as started until then. A paused job that has run keeps its place. Only
 * one worker starts jobs at a time, because two would both count before the other's jobs. Each account is counted once,
 * and jobs are found by their IDs, so that neither depends on how many jobs the planner expects to wait.
 */
const START = `
with taken as materialized (
  select account_id, count(*) as count from bulk_jobs
  where status in ('pending', 'running', 'paused')
    and (status = 'pending' and admitted_at is not null or status <> 'pending' and started_at is not null)
  group by account_id
), queued as materialized (
  select id, account_id, row_number() over (partition by account_id order by created_at, id) as place
  from bulk_jobs where status = 'pending' and admitted_at is null and ending is null
), due as materialized (
  select q.id from queued q join accounts a on a.id = q.account_id left join taken t on t.account_id = q.account_id
  where q.place <= a.max_running_bulk - coalesce(t.count, 0)
)
update bulk_jobs j set admitted_at = clock_timestamp(), last_updated_at = clock_timestamp(), rate_at = $1, rate_processed = processed,
  status = case when j.listed_at is null then 'pending' else 'running' end,
  started_at = case when j.listed_at is null then null else clock_timestamp() end
where j.id = any (array(select id from due)) and j.status = 'pending' and j.admitted_at is null
returning j.id, j.status`;

/** @returns the jobs that run now */
export function startJobs(pool: Pool, nowMs: number): Promise<string[]> {
  return inTransaction(pool, async (db) => {
    const lock = await db.query<{ mine: boolean }>('select pg_try_advisory_xact_lock($1) as mine', [
      ADVISORY_LOCKS.startBulkJobs,
    ]);
    if (lock.rows[0]?.mine !== true) return [];
    const { rows } = await db.query<{ id: string; status: string }>(START, [new Date(nowMs)]);
    const started = rows.filter(({ status }) => status === 'running').map(({ id }) => id);
    if (started.length > 0) await enqueueOutbox(db, started.map(jobStarted));
    return started;
  });
}

/** The message that reports the start to `tandem.jobs`. */
export function jobStarted(jobId: string): OutboxEntry {
  return {
    topic: 'jobs',
    key: jobId,
    type: 'JobStarted',
    payload: { job_id: jobId, kind: 'bulk', attempt: 1 },
  };
}

/**
 * Resumes jobs that wait for quota once there is some: in a new period, or after a change of the limit or the period.
 * It reads both as they are now, so a change needs no notification.
 */
export async function resumeRefilled(db: Queryable, nowMs: number): Promise<string[]> {
  const waiting = await db.query<{ id: string; period: QuotaPeriod }>(
    `select a.id, a.bulk_quota_period as period from accounts a
     where a.id in (select account_id from bulk_jobs where status = 'paused' and pause_reason = 'quota' and ending is null)`,
  );
  if (waiting.rows.length === 0) return [];
  const { rows } = await db.query<{ id: string }>(
    `update bulk_jobs j set status = 'running', pause_reason = null, last_updated_at = clock_timestamp(),
       rate = null, rate_at = $3, rate_processed = processed
     from unnest($1::text[], $2::tstzrange[]) as w (account_id, span) join accounts a on a.id = w.account_id
       left join bulk_quota_use u on u.account_id = a.id and u.span = w.span
     where a.id = j.account_id and j.status = 'paused' and j.pause_reason = 'quota' and j.ending is null
       and (a.bulk_quota is null or coalesce(u.used, 0) < a.bulk_quota)
     returning j.id`,
    [
      waiting.rows.map(({ id }) => id),
      waiting.rows.map(({ period }) => toRange(spanOf(period, nowMs))),
      new Date(nowMs),
    ],
  );
  return rows.map(({ id }) => id);
}
