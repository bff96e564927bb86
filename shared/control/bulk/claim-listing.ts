import type { Pool } from 'pg';
import type { Queryable } from '../../postgres/queryable.ts';
import { inTransaction } from '../../postgres/transaction.ts';
import { BULK_LEASE_SECONDS } from '../leases.ts';
import { enqueueOutbox } from '../outbox.ts';
import { WORKER_LOST } from './claim-chunk.ts';
import { jobStarted } from './queue-jobs.ts';

/** A job whose items this process is to list. */
export interface ClaimedListing {
  readonly jobId: string;
  readonly owner: string;
  /** Fences all writes of this listing. */
  readonly listCount: number;
  /** The job runs already: this is a further round of live semantics. */
  readonly isStarted: boolean;
  /** As stored, for `parseBulkRequest`: a request that cannot be read fails the job, not the claim. */
  readonly request: string;
  /** The storage path of an uploaded file of IDs; null without one. */
  readonly filePath: string | null;
  readonly sourceId: string;
  /** From 0; later rounds occur only with live semantics. */
  readonly round: number;
  /** Items and chunks of earlier rounds. Numbering continues from them. */
  readonly listedItems: number;
  readonly listedChunks: number;
  /** How the earlier listings failed, and how many in a row failed in this way. */
  readonly lastFailure: string | null;
  readonly failureCount: number;
  /** Trace context of the request; null when it is not traced. */
  readonly traceparent?: string | null;
}

/** A lister whose lease ran out has not reported how its listing ended. */
const CLAIM = `
update bulk_jobs j set lease_owner = $1, lease_expires_at = now() + $2 * interval '1 second', list_count = list_count + 1,
  failure = case when j.lease_owner is null then j.failure else '${WORKER_LOST}' end,
  failure_count = case when j.lease_owner is null then j.failure_count
    when j.failure = '${WORKER_LOST}' then j.failure_count + 1 else 1 end
where j.id = (
  select id from bulk_jobs
  where (status = 'running' or status = 'pending' and admitted_at is not null) and ending is null and listed_at is null
    and (lease_expires_at is null or lease_expires_at < now())
  order by created_at, id limit 1 for update skip locked)
returning j.id, j.list_count, j.request::text, j.file_id, j.list_round, j.listed_items, j.listed_chunks, j.failure, j.failure_count, j.started_at is not null as started, j.traceparent,
  (select path from bulk_files f where f.id = j.file_id) as path,
  (select source_id from accounts a where a.id = j.account_id) as source_id`;

interface ListingRow {
  id: string;
  list_count: number;
  request: string;
  path: string | null;
  source_id: string;
  list_round: number;
  listed_items: string;
  listed_chunks: number;
  failure: string | null;
  failure_count: number;
  started: boolean;
  traceparent: string | null;
}

/**
 * Claims a job whose items are not listed, or whose lister died. A list belongs to one snapshot, so a new lister starts
 * again. No item was changed by then, because work starts only once the list is complete.
 */
export function claimListing(pool: Pool, owner: string): Promise<ClaimedListing | undefined> {
  return inTransaction(pool, async (db) => {
    const { rows } = await db.query<ListingRow>(CLAIM, [owner, BULK_LEASE_SECONDS]);
    const row = rows[0];
    if (row === undefined) return undefined;
    await db.query('delete from bulk_chunks where job_id = $1 and chunk >= $2', [row.id, row.listed_chunks]);
    return {
      jobId: row.id,
      owner,
      listCount: row.list_count,
      isStarted: row.started,
      request: row.request,
      filePath: row.path,
      sourceId: row.source_id,
      round: row.list_round,
      listedItems: Number(row.listed_items),
      listedChunks: row.listed_chunks,
      lastFailure: row.failure,
      failureCount: row.failure_count,
      traceparent: row.traceparent,
    };
  });
}

const HELD = `id = $1 and lease_owner = $2 and list_count = $3 and ending is null and status in ('pending', 'running', 'paused')`;

const fence = ({ jobId, owner, listCount }: ClaimedListing) => [jobId, owner, listCount];

export async function renewListing(db: Queryable, claim: ClaimedListing): Promise<boolean> {
  const { rowCount } = await db.query(
    `update bulk_jobs set lease_expires_at = now() + $4 * interval '1 second' where ${HELD}`,
    [...fence(claim), BULK_LEASE_SECONDS],
  );
  return rowCount === 1;
}

/**
 * Marks the list as complete and the job as running, so workers can claim its chunks. Not earlier: an unfinished list
 * is started again under another snapshot, and the items of a running job never change.
 */
export function finishListing(
  pool: Pool,
  claim: ClaimedListing,
  total: number,
  nowMs: number,
): Promise<boolean> {
  return inTransaction(pool, async (db) => {
    const { rowCount } = await db.query(
      `update bulk_jobs set total = $4, listed_at = clock_timestamp(), last_updated_at = clock_timestamp(),
         status = case when status = 'pending' then 'running' else status end,
         started_at = coalesce(started_at, clock_timestamp()),
         failure = null, failure_count = 0,
         rate_at = $5, lease_owner = null, lease_expires_at = null where ${HELD}`,
      [...fence(claim), total, new Date(nowMs)],
    );
    if (rowCount !== 1) return false;
    if (!claim.isStarted) await enqueueOutbox(db, [jobStarted(claim.jobId)]);
    return true;
  });
}

/** Lets another process try after a delay. @param failure how this try failed, if it counts */
export async function releaseListing(
  db: Queryable,
  claim: ClaimedListing,
  delayMs: number,
  failure?: string,
): Promise<void> {
  await db.query(
    `update bulk_jobs set lease_owner = null, lease_expires_at = now() + $4 * interval '1 millisecond',
       failure_count = case when $5::text is null then failure_count when failure = $5 then failure_count + 1 else 1 end,
       failure = coalesce($5, failure)
     where ${HELD}`,
    [...fence(claim), delayMs, failure ?? null],
  );
}
