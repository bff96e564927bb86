import type { Queryable } from '../../postgres/queryable.ts';

/** Of two processes that see the slot on both sides of the threshold, the one that sees it beyond keeps jobs paused for this long. */
const REST_SECONDS = 10;

/** One with nothing left to do adds nothing to the WAL, and ends. */
const HAS_WORK = `
  ((select c.chunk from bulk_chunks c where c.job_id = j.id and c.state = 'waiting' order by c.chunk limit 1) is not null
    or exists (select from bulk_chunks c where c.job_id = j.id and c.state = 'working'))`;

/**
 * Pauses every running job, because the source keeps so much WAL for the feed that nothing may add to it. Their chunks in hand are
 * called off. Said again while that lasts, it keeps them paused.
 *
 * @returns the jobs that ran until now
 */
export async function pauseForFeed(db: Queryable): Promise<string[]> {
  await db.query(
    `update bulk_jobs set resumes_at = now() + interval '${REST_SECONDS} s'
     where status = 'paused' and pause_reason = 'feed' and resumes_at < now() + interval '${REST_SECONDS / 2} s'`,
  );
  const { rows } = await db.query<{ id: string }>(
    `update bulk_jobs j set status = 'paused', pause_reason = 'feed', last_updated_at = clock_timestamp(),
       resumes_at = now() + interval '${REST_SECONDS} s'
     where status = 'running' and ending is null and ${HAS_WORK}
     returning j.id`,
  );
  return rows.map(({ id }) => id);
}

/** Lets jobs go on that waited for the feed, once nobody has seen it too far behind for a while. @returns their IDs */
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
