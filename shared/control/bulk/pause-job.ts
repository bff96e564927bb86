import type { BulkStatus } from '../../domain/bulk.ts';
import type { Queryable } from '../../postgres/queryable.ts';
import { backoffMs } from '../../runtime/retry.ts';

/** A job's status after a request; undefined when there is no such job. */
export type Asked = BulkStatus | undefined;

/** Locks the job's row until the transaction ends. */
export async function lockJob(db: Queryable, accountId: string | null, id: string): Promise<Asked> {
  const { rows } = await db.query<{ status: BulkStatus }>(
    `select j.status from bulk_jobs j where ($1::text is null or j.account_id = $1) and j.id = $2 for update`,
    [accountId, id],
  );
  return rows[0]?.status;
}

export function isEnded(status: BulkStatus): boolean {
  return status === 'cancelled' || status === 'completed' || status === 'failed';
}

/**
 * Pauses a job. Claimed chunks finish; no other is claimed. A job that has not started leaves its place in the queue,
 * and its items are listed when it starts. Call it in a transaction: it locks the job's row.
 */
export async function pauseBulkJob(db: Queryable, accountId: string | null, id: string): Promise<Asked> {
  const status = await lockJob(db, accountId, id);
  if (status === undefined || isEnded(status)) return status;
  const { rowCount } = await db.query(
    `update bulk_jobs set status = 'paused', pause_reason = 'requested', last_updated_at = clock_timestamp(),
       admitted_at = case when started_at is null then null else admitted_at end,
       lease_owner = case when started_at is null then null else lease_owner end,
       lease_expires_at = case when started_at is null then null else lease_expires_at end
     where id = $1 and ending is null`,
    [id],
  );
  // A job that is ending stays as it is.
  return rowCount === 1 ? 'paused' : status;
}

/**
 * Resumes a job. One that had not started joins the queue again. The pause does not count in the rate for the ETA. Call
 * it in a transaction: it locks the job's row.
 */
export async function resumeBulkJob(
  db: Queryable,
  accountId: string | null,
  id: string,
  nowMs: number,
): Promise<Asked> {
  const status = await lockJob(db, accountId, id);
  if (status !== 'paused') return status;
  await db.query(
    `update bulk_jobs set status = case when started_at is null then 'pending' else 'running' end, pause_reason = null,
       rate = null, rate_at = $2, rate_processed = processed, last_updated_at = clock_timestamp() where id = $1`,
    [id, new Date(nowMs)],
  );
  return 'running';
}

/**
 * Minimum length of a pause for the feed. Two processes may see the slot on both sides of the threshold; then the one
 * that sees it exceeded keeps jobs paused.
 */
const FEED_REST_SECONDS = 10;

/** A job with nothing left to do adds nothing to the WAL, and ends. */
const HAS_WORK = `
  ((select c.chunk from bulk_chunks c where c.job_id = j.id and c.state = 'waiting' order by c.chunk limit 1) is not null
    or exists (select from bulk_chunks c where c.job_id = j.id and c.state = 'working'))`;

/**
 * Pauses every running job, and stops work on claimed chunks, because the source keeps so much WAL for the feed that no
 * job may add to it. Repeat it while that lasts: each call prolongs the pause.
 *
 * @returns the jobs that were running
 */
export async function pauseForFeed(db: Queryable): Promise<string[]> {
  await db.query(
    `update bulk_jobs set resumes_at = now() + interval '${FEED_REST_SECONDS} s'
     where status = 'paused' and pause_reason = 'feed' and resumes_at < now() + interval '${FEED_REST_SECONDS / 2} s'`,
  );
  const { rows } = await db.query<{ id: string }>(
    `update bulk_jobs j set status = 'paused', pause_reason = 'feed', last_updated_at = clock_timestamp(),
       resumes_at = now() + interval '${FEED_REST_SECONDS} s'
     where status = 'running' and ending is null and ${HAS_WORK}
     returning j.id`,
  );
  return rows.map(({ id }) => id);
}

/** Resumes jobs that waited for the feed, once no process has seen it too far behind for a while. @returns their IDs */
export async function resumeCaughtUp(db: Queryable, nowMs: number): Promise<string[]> {
  const { rows } = await db.query<{ id: string }>(
    `update bulk_jobs set status = 'running', pause_reason = null, resumes_at = null, last_updated_at = clock_timestamp(),
       rate = null, rate_at = $1, rate_processed = processed
     where status = 'paused' and pause_reason = 'feed' and ending is null and resumes_at <= now()
     returning id`,
    [new Date(nowMs)],
  );
  return rows.map(({ id }) => id);
}

/** Delays between requests to an unavailable handler: 1, 2, 4, … 30 s, or the delay that the handler asks for. */
const HANDLER_REST = { initialMs: 1_000, maxMs: 30_000 };

/**
 * If a handler was not asked for this long after its delay, because workers were stopped or the job was paused, its
 * whole time limit starts again.
 */
const UNASKED_SECONDS = 300;

/**
 * Pauses a job with an unavailable handler until a time at which it resumes by itself. If the handler has been
 * unavailable for too long the job fails, so that it does not keep its place for ever. A job that is paused or ending
 * stays as it is.
 */
export async function pauseForHandler(
  db: Queryable,
  jobId: string,
  { retryAfterMs, maxAwayMs }: { retryAfterMs: number; maxAwayMs: number },
): Promise<void> {
  const { rows } = await db.query<{ pauses: number }>(
    'select handler_pauses as pauses from bulk_jobs where id = $1',
    [jobId],
  );
  const restMs = Math.max(backoffMs(rows[0]?.pauses ?? 0, HANDLER_REST), retryAfterMs);
  const message = `The handler was unavailable for longer than ${maxAwayMs / 1_000} s. Finished items stay changed. Send the others again.`;
  await db.query(
    `update bulk_jobs set last_updated_at = clock_timestamp(), handler_pauses = handler_pauses + 1,
       handler_away_since = coalesce(since, now()),
       status = case when is_over then status else 'paused' end, pause_reason = case when is_over then null else 'handler' end,
       resumes_at = now() + $2 * interval '1 millisecond',
       ending = case when is_over then 'failed' end, error = case when is_over then $4::jsonb end
     from (select since, coalesce(now() - since > $3 * interval '1 millisecond', false) as is_over
           from bulk_jobs, lateral (
             select case when resumes_at > now() - $5 * interval '1 second' then handler_away_since end as since) as asked
           where id = $1) as away
     where id = $1 and status = 'running' and ending is null`,
    [
      jobId,
      Math.round(restMs),
      maxAwayMs,
      JSON.stringify({ code: 'handler_unavailable', message }),
      UNASKED_SECONDS,
    ],
  );
}

/** Resumes jobs that waited for their handler. @returns their IDs */
export async function resumeRested(db: Queryable, nowMs: number): Promise<string[]> {
  const { rows } = await db.query<{ id: string }>(
    `update bulk_jobs set status = 'running', pause_reason = null, last_updated_at = clock_timestamp(),
       rate = null, rate_at = $1, rate_processed = processed
     where status = 'paused' and pause_reason = 'handler' and ending is null and resumes_at <= now()
     returning id`,
    [new Date(nowMs)],
  );
  return rows.map(({ id }) => id);
}
