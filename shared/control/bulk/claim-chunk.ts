import type { Pool } from 'pg';
import type { NamedOperation } from '../../bulk/operation.ts';
import type { ListedItem } from '../../domain/bulk.ts';
import type { Queryable } from '../../postgres/queryable.ts';
import { inTransaction } from '../../postgres/transaction.ts';
import { LeaseLostError, type Renewal } from '../../runtime/lease-renewer.ts';
import { BULK_LEASE_SECONDS } from '../leases.ts';

/** A chunk for this process to work on, with what it needs of the job. */
export interface ClaimedChunk {
  readonly jobId: string;
  readonly chunk: number;
  /** Fences all writes of this attempt. */
  readonly attempt: number;
  readonly owner: string;
  readonly firstSeq: number;
  readonly items: readonly ListedItem[];
  /** Quota that a dead worker reserved. The ledger shows how much of it was used. */
  readonly reserved: number;
  /** How the earlier attempts failed, and how many in a row failed in this way. */
  readonly lastFailure: string | null;
  readonly failureCount: number;
  /** How long the last items have waited for rows that other transactions hold. */
  readonly heldBeforeMs: number;
  /** The job's handler was unavailable at the last request. */
  readonly isHandlerAway: boolean;
  /** Only a few items of the job are left, and the handler has answered for others. */
  readonly isRestOfJob: boolean;
  /** As stored, for `parseBulkRequest`: a request that cannot be read fails the job, not the claim. */
  readonly request: string;
  readonly accountId: string;
  /** The account column's value in the source. */
  readonly sourceId: string;
  /** Trace context of the request; null when it is not traced. */
  readonly traceparent?: string | null;
}

/** Accounts and jobs that already have their share of this worker's concurrency. */
export interface Barred {
  readonly accountIds: readonly string[];
  readonly jobIds: readonly string[];
}

/** The chunks that a worker may claim. */
export interface ClaimScope {
  /** `rows`: chunks that a statement changes; `http`: chunks whose items are sent to a handler. */
  readonly kind: 'rows' | 'http';
  /** The operations of the kind `http`. */
  readonly asking: readonly NamedOperation[];
  readonly barred?: Barred;
}

/**
 * The two kinds of claimable chunks, which are always queried separately: each has an index. A condition for both would
 * scan the finished chunks, and a large job has tens of thousands of them. The order selects the index.
 */
const WAITING = `c.state = 'waiting' and (c.not_before is null or c.not_before <= now())`;
const ABANDONED = `c.state = 'working' and c.lease_expires_at < now()`;

/** Whether a job is of the requested kind. */
const OF_KIND = `
  exists (select from unnest($1::text[], $2::text[]) as asking (resource, operation)
    where asking.resource = j.resource and asking.operation = j.operation) = $3::boolean`;

/**
 * Runnable jobs of this kind, ordered by the chunks that their account has claimed, then by the account's last report, then by the
 * chunks that the job has claimed, then by age. Accounts come before age, because otherwise a few large jobs would keep all workers
 * from every other account until they end. Chunks of the other kind do not count: they take no slot of this kind.
 */
const CANDIDATES = `
with in_hand as (
  select c.job_id, j.account_id, count(*) as count
  from bulk_chunks c join bulk_jobs j on j.id = c.job_id
  where c.state = 'working' and c.lease_expires_at >= now() and ${OF_KIND} group by 1, 2
), turns as (
  select j.account_id, max(j.last_updated_at) as at from bulk_jobs j
  where j.status = 'running' and j.ending is null and ${OF_KIND} group by 1
)
select j.id from bulk_jobs j
where j.status = 'running' and j.ending is null and j.listed_at is not null and ${OF_KIND}
  and j.account_id <> all ($4::text[]) and j.id <> all ($5::text[])
  and coalesce(
    (select true from bulk_chunks c where c.job_id = j.id and ${WAITING} order by c.chunk limit 1),
    (select true from bulk_chunks c where c.job_id = j.id and ${ABANDONED} order by c.lease_expires_at limit 1), false)
order by (select coalesce(sum(h.count), 0) from in_hand h where h.account_id = j.account_id),
  (select t.at from turns t where t.account_id = j.account_id),
  (select coalesce(sum(h.count), 0) from in_hand h where h.job_id = j.id), j.created_at, j.id
limit 10`;

/** Locks the job's row in share mode, so that a cancel either comes first or sees the claimed chunk. */
const LOCK_JOB = `
select from bulk_jobs where id = $1 and status = 'running' and ending is null for share`;

/** The failure of an attempt whose worker died. */
export const WORKER_LOST = 'worker_lost';

/**
 * The last items of a job, up to one round of requests: no other item is left to show whether the handler is available.
 */
const REST_OF_JOB = 10;

const CLAIM = `
with abandoned as materialized (
  select c.chunk, c.reserved, true as is_abandoned from bulk_chunks c where c.job_id = $1 and ${ABANDONED}
  order by c.lease_expires_at limit 1 for update skip locked
), waiting as materialized (
  select c.chunk, c.reserved, false as is_abandoned from bulk_chunks c where c.job_id = $1 and ${WAITING}
  order by c.chunk limit 1 for update skip locked
), wanted as materialized (
  select * from abandoned union all select * from waiting limit 1
)
update bulk_chunks c set state = 'working', attempt = c.attempt + 1, lease_owner = $2,
  lease_expires_at = now() + $3 * interval '1 second',
  failure = case when wanted.is_abandoned then '${WORKER_LOST}' else c.failure end,
  failure_count = case when not wanted.is_abandoned then c.failure_count
    when c.failure = '${WORKER_LOST}' then c.failure_count + 1 else 1 end
from wanted, bulk_jobs j join accounts a on a.id = j.account_id
where j.id = $1 and c.job_id = $1 and c.chunk = wanted.chunk
returning c.chunk, c.attempt, c.first_seq, c.items, wanted.reserved, c.failure, c.failure_count, c.held_ms,
  j.handler_away_since is not null as handler_away,
  (j.succeeded > 0 or j.error_counts ? 'handler_refused') and j.total - j.processed <= ${REST_OF_JOB} as rest_of_job,
  j.request::text, j.account_id, a.source_id, j.traceparent`;

interface ChunkRow {
  chunk: number;
  attempt: number;
  first_seq: number;
  items: string;
  reserved: number;
  failure: string | null;
  failure_count: number;
  held_ms: string;
  handler_away: boolean;
  rest_of_job: boolean | null;
  request: string;
  account_id: string;
  source_id: string;
  traceparent: string | null;
}

/** Claims a chunk that waits, or whose worker died; undefined when there is none. */
export async function claimChunk(
  pool: Pool,
  owner: string,
  { kind, asking, barred }: ClaimScope,
): Promise<ClaimedChunk | undefined> {
  const { rows } = await pool.query<{ id: string }>({
    name: 'bulk_candidates',
    text: CANDIDATES,
    values: [
      asking.map(({ resource }) => resource),
      asking.map(({ operation }) => operation),
      kind === 'http',
      barred?.accountIds ?? [],
      barred?.jobIds ?? [],
    ],
  });
  for (const { id } of rows) {
    const claimed = await inTransaction(pool, (db) => claimOf(db, id, owner));
    if (claimed !== undefined) return claimed;
  }
  return undefined;
}

async function claimOf(db: Queryable, jobId: string, owner: string): Promise<ClaimedChunk | undefined> {
  const locked = await db.query({ name: 'bulk_lock_job', text: LOCK_JOB, values: [jobId] });
  if (locked.rowCount === 0) return undefined;
  const { rows } = await db.query<ChunkRow>({
    name: 'bulk_claim_chunk',
    text: CLAIM,
    values: [jobId, owner, BULK_LEASE_SECONDS],
  });
  const row = rows[0];
  if (row === undefined) return undefined;
  return {
    jobId,
    chunk: row.chunk,
    attempt: row.attempt,
    owner,
    firstSeq: row.first_seq,
    items: JSON.parse(row.items) as ListedItem[],
    reserved: row.reserved,
    lastFailure: row.failure,
    failureCount: row.failure_count,
    heldBeforeMs: Number(row.held_ms),
    isHandlerAway: row.handler_away,
    isRestOfJob: row.rest_of_job ?? false,
    request: row.request,
    accountId: row.account_id,
    sourceId: row.source_id,
    traceparent: row.traceparent,
  };
}

/**
 * Renews the claim.
 *
 * @returns what has become of the job; the chunk is to be stopped when the job is paused or ending
 */
export async function renewChunk(db: Queryable, claim: ClaimedChunk): Promise<Renewal> {
  const { rows } = await db.query<{ is_called_off: boolean }>({
    name: 'bulk_renew_chunk',
    text: `update bulk_chunks c set lease_expires_at = now() + $5 * interval '1 second'
           from bulk_jobs j
           where c.job_id = $1 and c.chunk = $2 and c.attempt = $3 and c.lease_owner = $4 and c.state = 'working'
             and j.id = c.job_id
           returning j.ending is not null or j.status = 'paused' as is_called_off`,
    values: [claim.jobId, claim.chunk, claim.attempt, claim.owner, BULK_LEASE_SECONDS],
  });
  const [row] = rows;
  if (row === undefined) return new LeaseLostError('the chunk is another worker’s');
  return row.is_called_off ? 'called_off' : 'held';
}

/**
 * Gives a chunk back without a report. Its reserved quota stays until the next attempt has reported what was done.
 *
 * @param failure how the attempt failed, if it counts
 * @returns false when another worker has the chunk
 */
export async function releaseChunk(
  db: Queryable,
  claim: ClaimedChunk,
  delayMs: number,
  failure: string | undefined,
): Promise<boolean> {
  const { rowCount } = await db.query(
    `update bulk_chunks set state = 'waiting', lease_owner = null, lease_expires_at = null,
       not_before = now() + $5 * interval '1 millisecond',
       failure_count = case when $6::text is null then failure_count when failure = $6 then failure_count + 1 else 1 end,
       failure = coalesce($6, failure)
     where job_id = $1 and chunk = $2 and attempt = $3 and lease_owner = $4 and state = 'working'`,
    [claim.jobId, claim.chunk, claim.attempt, claim.owner, delayMs, failure ?? null],
  );
  return rowCount === 1;
}

/**
 * Records that a handler is about to be asked for these items. From then on each has a result when the job ends,
 * whatever happens to this process and to the response.
 *
 * @returns false when no item may be started: another worker has the chunk, or the job is paused or ending
 */
export async function beginItems(
  db: Queryable,
  claim: ClaimedChunk,
  seqs: readonly number[],
): Promise<boolean> {
  const { rowCount } = await db.query({
    name: 'bulk_begin_items',
    text: `update bulk_chunks c set begun = array(select unnest(c.begun) union select unnest($5::int[]))
           from bulk_jobs j
           where c.job_id = $1 and c.chunk = $2 and c.attempt = $3 and c.lease_owner = $4 and c.state = 'working'
             and j.id = c.job_id and j.ending is null and j.status <> 'paused'`,
    values: [claim.jobId, claim.chunk, claim.attempt, claim.owner, seqs],
  });
  return rowCount === 1;
}
