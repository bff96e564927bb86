import type { Queryable } from '../../postgres/queryable.ts';
import { backoffMs } from '../../runtime/backoff.ts';

/** Between asking a handler that is away and asking it again: 1, 2, 4, … 30 s at most, or what it asks for itself. */
const REST = { initialMs: 1_000, maxMs: 30_000 };

/** A handler that was not asked for so long after its rest was over, because all was stopped or the job was paused, has its time again. */
const UNASKED_SECONDS = 300;

/**
 * Pauses a job whose handler is away, and says when it goes on by itself. One whose handler has been away for too long fails, so
 * that it does not keep its place for ever. Nothing happens to a job that somebody has paused or is to end.
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
  const restMs = Math.max(backoffMs(rows[0]?.pauses ?? 0, REST), retryAfterMs);
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

/** Lets jobs go on whose handler has had its rest. @returns their IDs */
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
