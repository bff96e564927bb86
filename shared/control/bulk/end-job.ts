import type { Pool } from 'pg';
import type { BulkStatus, ListedItem } from '../../domain/bulk.ts';
import type { Queryable } from '../../postgres/queryable.ts';
import { inTransaction } from '../../postgres/transaction.ts';
import { enqueueOutbox, type OutboxEntry } from '../outbox.ts';
import { moveQuota } from './bulk-quota.ts';
import { type Asked, isEnded, lockJob } from './pause-job.ts';

/** A started and unfinished chunk of a job that is ending. Its counts have to be updated. */
export interface UnsettledChunk {
  readonly jobId: string;
  readonly chunk: number;
  readonly attempt: number;
  readonly firstSeq: number;
  readonly itemCount: number;
  readonly items: readonly ListedItem[];
  /** The indexes of items that a handler was asked for, or was about to be. */
  readonly begun: readonly number[];
}

/**
 * Limit of listing rounds with live semantics. Each round finds only new items, so rows that match again after the
 * job's own changes do no harm. The limit is for a product that makes new matches faster than the job handles them.
 */
const MAX_LIST_ROUNDS = 20;

/** Whether another round follows the finished one, with live semantics. */
const MAY_LIST_AGAIN = `
  (request ->> 'semantics' = 'live' and total > listed_items and list_round < ${MAX_LIST_ROUNDS} - 1)`;

/**
 * Jobs that may end: asked to, or with every chunk done. This includes a paused job whose last claimed chunk finished
 * during the pause, unless it lists again afterwards. The query looks for the first waiting chunk in order, which an
 * index finds among tens of thousands of finished ones. With `exists` the planner would read them all.
 */
const ENDING = `
select j.id from bulk_jobs j
where j.status in ('running', 'paused', 'pending') and (
    j.ending is not null
    or (j.status = 'running' or j.status = 'paused' and not ${MAY_LIST_AGAIN}) and j.listed_at is not null and (
      select c.chunk from bulk_chunks c where c.job_id = j.id and c.state = 'waiting' order by c.chunk limit 1) is null)
  and not exists (
    select from bulk_chunks c where c.job_id = j.id and c.state = 'working' and (j.ending is null or c.lease_expires_at >= now()))
limit 50`;

export async function findEndingJobs(db: Queryable): Promise<string[]> {
  const { rows } = await db.query<{ id: string }>({ name: 'bulk_ending_jobs', text: ENDING });
  return rows.map(({ id }) => id);
}

/** Chunks whose worker died or gave up, in a job from which no chunk is claimed any more. */
export async function findUnsettledChunks(db: Queryable, jobId: string): Promise<UnsettledChunk[]> {
  const { rows } = await db.query<{
    chunk: number;
    attempt: number;
    first_seq: number;
    item_count: number;
    items: string;
    begun: number[];
  }>(
    `select c.chunk, c.attempt, c.first_seq, c.item_count, c.items, c.begun from bulk_chunks c join bulk_jobs j on j.id = c.job_id
     where c.job_id = $1 and j.ending is not null and (c.state = 'working' or c.state = 'waiting' and c.attempt > 0)`,
    [jobId],
  );
  return rows.map((row) => ({
    jobId,
    chunk: row.chunk,
    attempt: row.attempt,
    firstSeq: row.first_seq,
    itemCount: row.item_count,
    items: JSON.parse(row.items) as ListedItem[],
    begun: row.begun,
  }));
}

/**
 * Ends the claim of a chunk whose results can't be counted, so that its job can end. Its reserved quota is released,
 * because nobody will report on it.
 */
export function leaveUncounted(pool: Pool, { jobId, chunk, attempt }: UnsettledChunk): Promise<void> {
  return inTransaction(pool, async (db) => {
    // Locks the chunk before the quota, in the order of reports.
    const { rows } = await db.query<{ account_id: string; reserved: number; quota_span: string | null }>(
      `select j.account_id, c.reserved, c.quota_span::text from bulk_chunks c join bulk_jobs j on j.id = c.job_id
       where c.job_id = $1 and c.chunk = $2 and c.attempt = $3 and c.state <> 'done' for update of c`,
      [jobId, chunk, attempt],
    );
    const [held] = rows;
    if (held === undefined) return;
    if (held.quota_span !== null) {
      await moveQuota(db, held.account_id, held.quota_span, { used: 0, reserved: -held.reserved });
    }
    await db.query(
      `update bulk_chunks set state = 'waiting', attempt = 0, reserved = 0, lease_owner = null, lease_expires_at = null
       where job_id = $1 and chunk = $2`,
      [jobId, chunk],
    );
  });
}

/**
 * Ends a job that has nothing left to do: as completed when every chunk is done, otherwise as requested. It locks the
 * row first, so that exactly one of a cancel and a completion wins. With live semantics another round of items follows
 * each finished one, until a round finds nothing new.
 *
 * @returns the final status; undefined when the job continues
 */
export function endJob(pool: Pool, jobId: string): Promise<BulkStatus | undefined> {
  return inTransaction(pool, async (db) => {
    const { rows } = await db.query<{
      ending: 'cancelled' | 'failed' | null;
      status: string;
      listed: boolean;
      error: { code: string; message: string } | null;
      processed: string;
      may_list_again: boolean;
    }>(
      `select ending, status, listed_at is not null as listed, error, processed,
         ${MAY_LIST_AGAIN} as may_list_again
       from bulk_jobs
       where id = $1 and status in ('pending', 'running', 'paused') for update`,
      [jobId],
    );
    const job = rows[0];
    if (job === undefined) return undefined;
    const open = await db.query<{ waiting: boolean; working: boolean }>(
      `select (select chunk from bulk_chunks where job_id = $1 and state = 'waiting' order by chunk limit 1) is not null as waiting,
         exists (select from bulk_chunks where job_id = $1 and state = 'working') as working`,
      [jobId],
    );
    const { waiting = true, working = true } = open.rows[0] ?? {};
    if (working || (job.ending === null && (waiting || !job.listed || job.status === 'pending')))
      return undefined;
    if (job.ending === null && job.may_list_again) {
      if (job.status === 'running') await listAgain(db, jobId);
      return undefined;
    }
    const isComplete = job.listed && !waiting && !job.may_list_again && job.ending !== 'failed';
    const status = isComplete ? 'completed' : (job.ending ?? 'completed');
    await db.query(
      `update bulk_jobs set status = $2, ending = null, pause_reason = null, lease_owner = null, lease_expires_at = null,
         total = coalesce(total, processed), ended_at = clock_timestamp(), last_updated_at = clock_timestamp() where id = $1`,
      [jobId, status],
    );
    await enqueueOutbox(db, [lifeCycleEvent(jobId, status, job)]);
    return status;
  });
}

async function listAgain(db: Queryable, jobId: string): Promise<void> {
  await db.query(
    `update bulk_jobs set listed_at = null, lease_owner = null, lease_expires_at = null, list_round = list_round + 1,
       listed_items = total, listed_chunks = (select count(*) from bulk_chunks where job_id = $1)
     where id = $1`,
    [jobId],
  );
}

function lifeCycleEvent(
  jobId: string,
  status: 'completed' | 'cancelled' | 'failed',
  job: { error: { code: string; message: string } | null; processed: string },
): OutboxEntry {
  const entry = { topic: 'jobs', key: jobId } as const;
  const kind = 'bulk' as const;
  if (status === 'cancelled') return { ...entry, type: 'JobCancelled', payload: { job_id: jobId, kind } };
  if (status === 'completed') {
    return { ...entry, type: 'JobCompleted', payload: { job_id: jobId, kind, rows: Number(job.processed) } };
  }
  const { code = 'failed', message = '' } = job.error ?? {};
  return { ...entry, type: 'JobFailed', payload: { job_id: jobId, kind, code, message } };
}

/** Fails a job for a reason other than a single item's. It ends once none of its chunks is claimed. */
export async function failJob(
  db: Queryable,
  jobId: string,
  error: { code: string; message: string },
): Promise<void> {
  await db.query(
    `update bulk_jobs set ending = 'failed', error = $2, last_updated_at = clock_timestamp()
     where id = $1 and ending is null and status in ('pending', 'running', 'paused')`,
    [jobId, JSON.stringify(error)],
  );
}

/** Pauses a job until its account has quota again. */
export async function pauseForQuota(db: Queryable, jobId: string): Promise<void> {
  await db.query(
    `update bulk_jobs set status = 'paused', pause_reason = 'quota', last_updated_at = clock_timestamp()
     where id = $1 and status = 'running' and ending is null`,
    [jobId],
  );
}

/**
 * Asks a job to stop. A job without any work done is cancelled at once. Otherwise no further chunk is claimed, and the
 * workers end the job after the claimed ones are reported, so that its counts include all work. Call it in a
 * transaction: it locks the job's row.
 */
export async function cancelBulkJob(db: Queryable, accountId: string | null, id: string): Promise<Asked> {
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
}
