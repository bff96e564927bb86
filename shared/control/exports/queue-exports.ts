import type { Pool } from 'pg';
import type { ExportRequest } from '../../domain/export-request.ts';
import type { Queryable } from '../../postgres/queryable.ts';
import { inTransaction } from '../../postgres/transaction.ts';
import { currentTrace } from '../../runtime/tracing.ts';
import { ADVISORY_LOCKS } from '../advisory-locks.ts';
import { EXPORT_LEASE_SECONDS } from '../leases.ts';
import { enqueueSql, type OutboxEntry } from '../outbox.ts';
import { failExport } from './end-export.ts';
import { isKnownRequest } from './export-request.ts';
import { isSuspectSql, mayClaimSql, roomParameter, type SuspectRoom } from './suspect-exports.ts';

// The queue of exports: an export is inserted at its end, and claimed when its account has room.

export interface NewExport {
  readonly id: string;
  /** Null: an export of all accounts. */
  readonly accountId: string | null;
  readonly request: ExportRequest;
  readonly resources: readonly string[];
  readonly rowsEstimated: number | null;
}

const INSERT = `
with job as (
  insert into exports (id, account_id, request, resources, status, phase, rows_estimated, traceparent)
  values ($1, $2, $3, $4, 'pending', 'queued', $5, $6)
)
${enqueueSql('$7', '$6')}`;

/**
 * Inserts the job in the current trace, with its messages to the extractors. Call it in a transaction, so that an
 * unavailable broker loses no job.
 */
export async function insertExport(db: Queryable, job: NewExport): Promise<void> {
  const told: readonly OutboxEntry[] = [
    { topic: 'commands', key: job.id, type: 'ExtractExport', payload: { job_id: job.id } },
    {
      topic: 'jobs',
      key: job.id,
      type: 'JobCreated',
      payload: { job_id: job.id, kind: 'export', account_id: job.accountId },
    },
  ];
  await db.query({
    name: 'insert_export',
    text: INSERT,
    values: [
      job.id,
      job.accountId,
      JSON.stringify(job.request),
      job.resources,
      job.rowsEstimated,
      currentTrace()?.traceparent ?? null,
      JSON.stringify(told),
    ],
  });
}

/** Locks the account's queue until the transaction ends, and returns its jobs that have not ended, oldest first. */
export async function lockActiveExports(
  db: Queryable,
  accountId: string | null,
): Promise<{ id: string; status: string }[]> {
  await db.query(`select pg_advisory_xact_lock(hashtextextended('tandem.exports.' || $1, 0))`, [
    accountId ?? '*',
  ]);
  const { rows } = await db.query<{ id: string; status: string }>({
    name: 'find_active_exports',
    text: `select id, status from exports
           where (account_id = $1 or $1::text is null and account_id is null)
             and status in ('pending', 'running', 'paused', 'cancelling')
           order by created_at, id`,
    values: [accountId],
  });
  return rows;
}

/** How an export's rows are read: under one snapshot, or in short transactions, each with a snapshot of its own. */
export type SnapshotKind = 'single' | 'chunked';

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
   * Runs whose ending is unexplained, including this one. Limited, because an export may kill its process. A chunked
   * export that reads a chunk sets this count back, and the next three.
   */
  readonly runCount: number;
  /** Its earlier runs may have ended their processes. */
  readonly isSuspect: boolean;
  /** Earlier runs that ended with an error. */
  readonly failedRuns: number;
  /** How many of these the source ended, perhaps because of this export. */
  readonly setbackRuns: number;
  /** Earlier runs that gave way. */
  readonly gaveWayRuns: number;
  /** Estimated at its submission; null without an estimate. */
  readonly rowsEstimated: number | null;
  /** How its rows are read, as an earlier run decided; null when none has. */
  readonly snapshotKind: SnapshotKind | null;
  /** From where on the account's changes are recorded, `X/Y`. Null: nowhere yet, or the export is of all accounts. */
  readonly recordedFrom: string | null;
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

/**
 * Lost runs first, because they count as running. Then the account with the fewest running exports, then the oldest
 * export. Nothing is started while there are exhausted runs, which count as running until they have failed.
 */
const START_RUN = `
with running as materialized (
  select account_id, count(*) as count from exports
  where status in ('running', 'cancelling') group by account_id
), exhausted as materialized (
  select e.id, e.run_attempt from exports e where ${LOST_RUN} and e.run_count >= $5
), candidate as (
  select e.id
  from exports e
  left join accounts a on a.id = e.account_id
  left join running r on r.account_id is not distinct from e.account_id
  where (${LOST_RUN} or (e.status = 'pending' and coalesce(r.count, 0) < coalesce(a.max_running_exports, $3)))
    and ${isKnownRequest('e.request')}
    and ($4::bigint is null or e.rows_estimated <= $4)
    and ${mayClaimSql('$7', 'e.id', 'e.run_count')}
    and not exists (select from exhausted)
  order by e.status = 'pending', coalesce(r.count, 0), e.created_at, e.id
  limit 1
  for update of e skip locked
), started as (
  update exports e set
    status = 'running', phase = 'waiting_for_feed',
    attempt = e.attempt + 1, run_attempt = e.attempt + 1, run_count = e.run_count + 1,
    lease_owner = $1, lease_expires_at = now() + $2 * interval '1 second',
    started_at = coalesce(e.started_at, now()), paused_at = null,
    paused_ms = e.paused_ms + case when e.started_at is null then 0 else
      coalesce(round(extract(epoch from now() - e.paused_at) * 1000), 0) end,
    snapshot = null, start_lsn = null, system_id = null, timeline = null, seal_token = null, sealed_lsn = null, planned_at = null,
    all_planned = false,
    run_traceparent = null
  from candidate where e.id = candidate.id
  returning e.id, e.account_id, e.resources, e.request, e.run_attempt, e.run_count, e.failed_runs, e.setback_runs, e.gave_way_runs,
    ${isSuspectSql('e.run_count - 1')} as is_suspect, e.rows_estimated, e.traceparent, e.snapshot_kind
), told as (
  insert into outbox (topic, key, type, payload, traceparent)
  select 'jobs', id, 'JobStarted', jsonb_build_object('job_id', id, 'kind', 'export', 'attempt', run_attempt), $6
  from started
)
select s.*, a.source_id, a.recorded_from_lsn::text as recorded_from,
  (select json_agg(json_build_object('id', x.id, 'runAttempt', x.run_attempt)) from exhausted x) as exhausted
from (select) one
left join started s on true
left join accounts a on a.id = s.account_id`;

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
  exhausted: { id: string; runAttempt: number }[] | null;
  id: string | null;
  account_id: string | null;
  source_id: string | null;
  resources: string[];
  request: unknown;
  run_attempt: number;
  run_count: number;
  is_suspect: boolean;
  failed_runs: number;
  setback_runs: number;
  gave_way_runs: number;
  rows_estimated: string | null;
  snapshot_kind: SnapshotKind | null;
  recorded_from: string | null;
  traceparent: string | null;
}

/** Whether any export can be claimed, and any is being cancelled. Called often, so it is one small statement. */
export async function findOpenExports(
  db: Queryable,
): Promise<{ readonly isAnyToClaim: boolean; readonly isAnyCancelling: boolean }> {
  const { rows } = await db.query<{ is_any_to_claim: boolean; is_any_cancelling: boolean }>({
    name: 'find_open_exports',
    text: `select exists (select from exports where status = 'pending') or exists (select from exports e where ${LOST_RUN})
             as is_any_to_claim,
           exists (select from exports where status = 'cancelling') as is_any_cancelling`,
  });
  const [found] = rows;
  return {
    isAnyToClaim: found?.is_any_to_claim === true,
    isAnyCancelling: found?.is_any_cancelling === true,
  };
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
  room: SuspectRoom = 'any',
): Promise<ClaimedExport | undefined> {
  return inTransaction(
    pool,
    async (db) => {
      const row = await startRun(db, owner, limits, room);
      if (row?.id == null) return undefined;
      const { id } = row;
      // In a statement of its own, which sees what the earlier run's holder has added meanwhile.
      if (row.run_attempt > 1)
        await db.query(row.snapshot_kind === 'chunked' ? TAKE_CHUNKS_OVER : REMOVE_CHUNKS, [id]);
      return {
        id,
        accountId: row.account_id,
        accountSourceId: row.source_id,
        resources: row.resources,
        request: row.request,
        runAttempt: row.run_attempt,
        runCount: row.run_count,
        isSuspect: row.is_suspect,
        failedRuns: row.failed_runs,
        setbackRuns: row.setback_runs,
        gaveWayRuns: row.gave_way_runs,
        rowsEstimated: row.rows_estimated === null ? null : Number(row.rows_estimated),
        snapshotKind: row.snapshot_kind,
        recordedFrom: row.recorded_from,
        owner,
        traceparent: row.traceparent,
      };
    },
    `select pg_advisory_xact_lock(${ADVISORY_LOCKS.claimExport})`,
  );
}

async function startRun(
  db: Queryable,
  owner: string,
  { maxRunningOfAllAccounts, maxRows, maxRuns }: ExportLimits,
  room: SuspectRoom,
): Promise<StartedRow | undefined> {
  for (;;) {
    const { rows } = await db.query<StartedRow>({
      name: 'start_run',
      text: START_RUN,
      values: [
        owner,
        EXPORT_LEASE_SECONDS,
        maxRunningOfAllAccounts,
        maxRows ?? null,
        maxRuns,
        currentTrace()?.traceparent ?? null,
        roomParameter(room),
      ],
    });
    const [row] = rows;
    if (row === undefined || row.exhausted === null) return row;
    for (const { id, runAttempt } of row.exhausted) {
      await failExport(db, id, runAttempt, {
        code: 'attempts_exhausted',
        message:
          `${maxRuns} runs of the export ended in a row without a known reason, for example because their process ` +
          'ran out of memory. The operator finds the reason in the logs of the extractors and of what runs them.',
      });
    }
  }
}
