import type { Pool } from 'pg';
import type { ExportRequest } from '../../domain/export-request.ts';
import type { Queryable } from '../../postgres/queryable.ts';
import { inTransaction } from '../../postgres/transaction.ts';
import { currentTrace } from '../../runtime/tracing.ts';
import { ADVISORY_LOCKS } from '../advisory-locks.ts';
import { EXPORT_LEASE_SECONDS } from '../leases.ts';
import { enqueueOutbox } from '../outbox.ts';
import { failExport } from './end-export.ts';
import { isKnownRequest } from './export-request.ts';

// The queue of exports: an export is inserted at its end, and claimed when its account has room.

export interface NewExport {
  readonly id: string;
  /** Null: an export of all accounts. */
  readonly accountId: string | null;
  readonly request: ExportRequest;
  readonly resources: readonly string[];
  readonly rowsEstimated: number | null;
}

/**
 * Inserts the job in the current trace, with its messages to the extractors. Call it in a transaction, so that an
 * unavailable broker loses no job.
 */
export async function insertExport(db: Queryable, job: NewExport): Promise<void> {
  await db.query(
    `insert into exports (id, account_id, request, resources, status, phase, rows_estimated, traceparent)
     values ($1, $2, $3, $4, 'pending', 'queued', $5, $6)`,
    [
      job.id,
      job.accountId,
      JSON.stringify(job.request),
      job.resources,
      job.rowsEstimated,
      currentTrace()?.traceparent ?? null,
    ],
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

/** Locks the account's queue until the transaction ends, and returns its jobs that have not ended, oldest first. */
export async function lockActiveExports(
  db: Queryable,
  accountId: string | null,
): Promise<{ id: string; status: string }[]> {
  await db.query(`select pg_advisory_xact_lock(hashtextextended('tandem.exports.' || $1, 0))`, [
    accountId ?? '*',
  ]);
  const { rows } = await db.query<{ id: string; status: string }>(
    `select id, status from exports
     where (account_id = $1 or $1::text is null and account_id is null) and status in ('pending', 'running', 'paused', 'cancelling')
     order by created_at, id`,
    [accountId],
  );
  return rows;
}

/** An export for this process to run, starting with a new snapshot. */
export interface ClaimedExport {
  readonly id: string;
  /** Null: all accounts. */
  readonly accountId: string | null;
  /** The account column's value in the source. */
  readonly accountSourceId: string | null;
  readonly resources: readonly string[];
  /** The request with the API's defaults. */
  readonly request: unknown;
  /** Fences all writes of this run. */
  readonly runAttempt: number;
  /**
   * Runs, including this one, since a chunked export last read a chunk. Limited, because an export may kill its
   * process.
   */
  readonly runCount: number;
  /** How many of these runs failed or gave way. */
  readonly failedRuns: number;
  /** Estimated at its submission; null without an estimate. */
  readonly rowsEstimated: number | null;
  readonly owner: string;
  /** Trace context of the request; null when it is not traced. */
  readonly traceparent?: string | null;
}

export interface ExportLimits {
  /** Limit of exports of all accounts, which have no account with a limit. */
  readonly maxRunningOfAllAccounts: number;
  readonly maxRuns: number;
  /** Claims only exports with at most this many estimated rows. Undefined: any. */
  readonly maxRows?: number;
}

/**
 * Runs that need a new holder. A run needs no holder once everything is planned, read and sealed. Any other run whose
 * lease has expired has lost its snapshot.
 */
const LOST_RUN = `
  e.status = 'running' and (e.lease_expires_at is null or e.lease_expires_at < now())
  and (e.planned_at is null or e.sealed_lsn is null or exists (
    select from export_chunks c where c.export_id = e.id and c.state <> 'extracted'))`;

const EXHAUSTED = `select e.id, e.run_attempt from exports e where ${LOST_RUN} and e.run_count >= $1`;

/**
 * Lost runs first, because they count as running. Then the account with the fewest running exports, then the oldest
 * export.
 */
const CANDIDATE = `
with running as materialized (
  select account_id, count(*) as count from exports
  where status in ('running', 'cancelling') group by account_id
)
select e.id
from exports e
left join accounts a on a.id = e.account_id
left join running r on r.account_id is not distinct from e.account_id
where (${LOST_RUN} or (e.status = 'pending' and coalesce(r.count, 0) < coalesce(a.max_running_exports, $1)))
  and ${isKnownRequest('e.request')}
  and ($2::bigint is null or e.rows_estimated <= $2)
order by e.status = 'pending', coalesce(r.count, 0), e.created_at, e.id
limit 1
for update of e skip locked`;

const START_RUN = `
update exports e set
  status = 'running', phase = 'waiting_for_feed',
  attempt = e.attempt + 1, run_attempt = e.attempt + 1, run_count = e.run_count + 1,
  lease_owner = $2, lease_expires_at = now() + $3 * interval '1 second',
  started_at = coalesce(e.started_at, now()), paused_at = null,
  paused_ms = e.paused_ms + case when e.started_at is null then 0 else
    coalesce(round(extract(epoch from now() - e.paused_at) * 1000), 0) end,
  snapshot = null, start_lsn = null, system_id = null, timeline = null, seal_token = null, sealed_lsn = null, planned_at = null,
  all_planned = false,
  run_traceparent = null
where e.id = $1
returning e.id, e.account_id, e.resources, e.request, e.run_attempt, e.run_count, e.failed_runs, e.rows_estimated, e.traceparent,
  (select a.source_id from accounts a where a.id = e.account_id) as source_id, e.snapshot_kind`;

const REMOVE_CHUNKS = 'delete from export_chunks where export_id = $1';

/** Chunks with snapshots of their own are kept, including those being read. */
const TAKE_CHUNKS_OVER = `
with held as (
  select c.resource, c.chunk from export_chunks c where c.export_id = $1 order by c.resource, c.chunk for no key update
)
update export_chunks c set run_attempt = e.run_attempt
from exports e, held h
where e.id = $1 and c.export_id = $1 and c.resource = h.resource and c.chunk = h.chunk`;

interface StartedRow {
  id: string;
  account_id: string | null;
  source_id: string | null;
  resources: string[];
  request: unknown;
  run_attempt: number;
  run_count: number;
  failed_runs: number;
  rows_estimated: string | null;
  snapshot_kind: string | null;
  traceparent: string | null;
}

/** Whether any export waits, runs or is being cancelled. Called often, so it is one small statement. */
export async function hasOpenExports(db: Queryable): Promise<boolean> {
  const { rows } = await db.query<{ is_any: boolean }>({
    name: 'has_open_exports',
    text: `select exists (select from exports where status in ('pending', 'running', 'cancelling')) as is_any`,
  });
  return rows[0]?.is_any === true;
}

/**
 * Claims the export whose turn it is; undefined without one. Only one extractor claims at a time, because two would
 * both count before the other's claim. The chunks of an earlier run are removed in the same transaction, so that an
 * export never mixes two snapshots. Only a chunked export keeps them.
 */
export function claimExport(
  pool: Pool,
  owner: string,
  limits: ExportLimits,
): Promise<ClaimedExport | undefined> {
  return inTransaction(pool, async (db) => {
    await db.query('select pg_advisory_xact_lock($1)', [ADVISORY_LOCKS.claimExport]);
    const exhausted = await db.query<{ id: string; run_attempt: number }>(EXHAUSTED, [limits.maxRuns]);
    for (const { id, run_attempt: runAttempt } of exhausted.rows) {
      await failExport(db, id, runAttempt, {
        code: 'attempts_exhausted',
        message: `The export was started ${limits.maxRuns} times and could not be finished.`,
      });
    }
    const candidate = await db.query<{ id: string }>(CANDIDATE, [
      limits.maxRunningOfAllAccounts,
      limits.maxRows ?? null,
    ]);
    const id = candidate.rows[0]?.id;
    if (id === undefined) return undefined;
    const started = await db.query<StartedRow>(START_RUN, [id, owner, EXPORT_LEASE_SECONDS]);
    const row = started.rows[0];
    if (row === undefined) return undefined;
    await db.query(row.snapshot_kind === 'chunked' ? TAKE_CHUNKS_OVER : REMOVE_CHUNKS, [id]);
    const payload = { job_id: id, kind: 'export' as const, attempt: row.run_attempt };
    await enqueueOutbox(db, [{ topic: 'jobs', key: id, type: 'JobStarted', payload }]);
    return {
      id,
      accountId: row.account_id,
      accountSourceId: row.source_id,
      resources: row.resources,
      request: row.request,
      runAttempt: row.run_attempt,
      runCount: row.run_count,
      failedRuns: row.failed_runs,
      rowsEstimated: row.rows_estimated === null ? null : Number(row.rows_estimated),
      owner,
      traceparent: row.traceparent,
    };
  });
}
