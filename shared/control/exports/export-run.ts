import type { TableForm } from '../../catalog/table-form.ts';
import type { Queryable } from '../../postgres/queryable.ts';
import { ASSEMBLIES_CHANNEL } from '../../protocol/names.ts';
import { EXPORT_LEASE_SECONDS } from '../leases.ts';
import type { ClaimedExport } from './queue-exports.ts';

/** The state of an export for its holder. */
export type RunStatus =
  | {
      readonly state: 'held';
      readonly isSealed: boolean;
      /** The control store has what capture said of the feed together with the seal. */
      readonly isMirrored: boolean;
      readonly openChunkCount: number;
      /** Why the rows have to be read under one snapshot, although chunks were requested or tried. */
      readonly singleReason: string | null;
    }
  | { readonly state: 'cancelling' }
  /** Another process has it, or it has ended. */
  | { readonly state: 'lost' };

/** Fences a statement: `$1` to `$3` are those of `fence`. */
const HELD = `id = $1 and run_attempt = $2 and lease_owner = $3 and status = 'running'`;

const fence = ({ id, runAttempt, owner }: ClaimedExport) => [id, runAttempt, owner];

const READ_RUN_STATUSES = `
select e.status, e.sealed_lsn is not null as is_sealed,
  coalesce((select f.passed_lsn > e.sealed_lsn from feed_state f), false) as is_mirrored,
  case e.snapshot_kind when 'single' then e.snapshot_reason end as single_reason,
  (select count(*)::integer from export_chunks c where c.export_id = e.id and c.state <> 'extracted') as open_count
from unnest($1::text[], $2::integer[], $3::text[]) with ordinality as run (id, run_attempt, owner, place)
left join exports e on (e.id, e.run_attempt, e.lease_owner) = (run.id, run.run_attempt, run.owner)
order by run.place`;

/** In the order of the claims. */
export async function readRunStatuses(db: Queryable, claims: readonly ClaimedExport[]): Promise<RunStatus[]> {
  const { rows } = await db.query<{
    status: string | null;
    is_sealed: boolean;
    is_mirrored: boolean;
    open_count: number;
    single_reason: string | null;
  }>({
    name: 'read_run_statuses',
    text: READ_RUN_STATUSES,
    values: [
      claims.map(({ id }) => id),
      claims.map(({ runAttempt }) => runAttempt),
      claims.map(({ owner }) => owner),
    ],
  });
  return rows.map((row) => {
    if (row.status !== 'running') return { state: row.status === 'cancelling' ? 'cancelling' : 'lost' };
    return {
      state: 'held',
      isSealed: row.is_sealed,
      isMirrored: row.is_mirrored,
      openChunkCount: row.open_count,
      singleReason: row.single_reason,
    };
  });
}

/** @returns false when another holder has the export, or it is being cancelled */
export async function renewExport(db: Queryable, claim: ClaimedExport): Promise<boolean> {
  const { rowCount } = await db.query({
    name: 'renew_export',
    text: `update exports set lease_expires_at = now() + $4 * interval '1 second' where ${HELD}`,
    values: [...fence(claim), EXPORT_LEASE_SECONDS],
  });
  return rowCount === 1;
}

/** Makes this span the parent of the run's chunks and its assembly. */
export async function noteRunTrace(db: Queryable, claim: ClaimedExport, traceparent: string): Promise<void> {
  await db.query(`update exports set run_traceparent = $4 where ${HELD}`, [...fence(claim), traceparent]);
}

/** What the hand-off needs, stored in one update, so completely or not at all. Without a kind, the export is single. */
export interface SnapshotRecord {
  readonly takenAt: string;
  /** WAL insert position read after the snapshot, as `X/Y`. */
  readonly lsn: string;
  readonly xmin: string;
  readonly xmax: string;
  readonly xip: readonly string[];
  /** The feed's settled position before the snapshot, as `X/Y`. */
  readonly startLsn: string;
  readonly sealToken: string;
  readonly systemId: string;
  readonly timeline: number;
  /** The tables' forms under the snapshot. */
  readonly tableForms: Readonly<Record<string, TableForm>>;
  /** The fingerprint of each resource's catalog entry, with which the chunks are planned. */
  readonly catalog: Readonly<Record<string, string>>;
}

/** @returns false when another holder has the export */
export async function recordSnapshot(
  db: Queryable,
  claim: ClaimedExport,
  {
    startLsn,
    sealToken,
    systemId,
    timeline,
    tableForms,
    catalog,
    takenAt,
    lsn,
    xmin,
    xmax,
    xip,
  }: SnapshotRecord,
): Promise<boolean> {
  const { rowCount } = await db.query({
    name: 'record_snapshot',
    text: `update exports set phase = 'extracting', snapshot = $4, start_lsn = $5::pg_lsn, seal_token = $6,
       system_id = $7, timeline = $8, table_forms = $9, run_catalog = $10, snapshot_kind = coalesce(snapshot_kind, 'single')
     where ${HELD}`,
    values: [
      ...fence(claim),
      JSON.stringify({ taken_at: takenAt, lsn, xmin, xmax, xip }),
      startLsn,
      sealToken,
      systemId,
      timeline,
      JSON.stringify(tableForms),
      JSON.stringify(catalog),
    ],
  });
  return rowCount === 1;
}

export interface PlannedChunk {
  readonly resource: string;
  readonly chunk: number;
  /** Exclusive; null for no bound. PostgreSQL texts in key order. */
  readonly lowerKey: readonly string[] | null;
  /** Inclusive; null for no bound. */
  readonly upperKey: readonly string[] | null;
  readonly rows: number;
}

const ALL_PLANNED = `update exports set all_planned = true where ${HELD}`;

/**
 * The lock waits for a claim of the export in progress, and then sees its run. So a chunk of a lost run never joins those
 * of the next.
 */
const addChunksTo = (run: string) => `
with e as (${run})
insert into export_chunks
  (export_id, resource, chunk, run_attempt, state, snapshot_name, lower_key, upper_key, rows_planned)
select e.id, p.resource, p.chunk, e.run_attempt, 'planned', $4, p."lowerKey", p."upperKey", p.rows
from e, json_to_recordset($5::json) as p("resource" text, "chunk" integer, "lowerKey" text[], "upperKey" text[], "rows" bigint)`;

const ADD_CHUNKS = addChunksTo(`select id, run_attempt from exports where ${HELD} for share`);
const ADD_LAST_CHUNKS = addChunksTo(`${ALL_PLANNED} returning id, run_attempt`);

/**
 * @param snapshotName null: each chunk is read under a snapshot of its own
 * @param areLast also marks what `noteAllPlanned` marks
 * @returns false, without adding any, when another holder has the export
 */
export async function addChunks(
  db: Queryable,
  claim: ClaimedExport,
  snapshotName: string | null,
  chunks: readonly PlannedChunk[],
  areLast = false,
): Promise<boolean> {
  const { rowCount } = await db.query({
    name: areLast ? 'add_last_chunks' : 'add_chunks',
    text: areLast ? ADD_LAST_CHUNKS : ADD_CHUNKS,
    values: [...fence(claim), snapshotName, JSON.stringify(chunks)],
  });
  return rowCount === chunks.length;
}

/**
 * Marks that all chunks of all resources are planned, so the number of rows is known.
 *
 * @returns false when another holder has the export
 */
export async function noteAllPlanned(db: Queryable, claim: ClaimedExport): Promise<boolean> {
  const { rowCount } = await db.query(ALL_PLANNED, fence(claim));
  return rowCount === 1;
}

/**
 * Marks that everything is read and sealed and all checks passed: the writer takes over, and no other holder starts the
 * export again.
 *
 * @returns false when another holder has the export
 */
export async function finishRun(db: Queryable, claim: ClaimedExport): Promise<boolean> {
  const { rowCount } = await db.query({
    name: 'finish_run',
    text: `update exports set phase = 'assembling', planned_at = now(), lease_owner = null, lease_expires_at = null where ${HELD}
           returning pg_notify('${ASSEMBLIES_CHANNEL}', id)`,
    values: fence(claim),
  });
  return rowCount === 1;
}

/**
 * Why a run, or an attempt at a chunk, ended before its work was done. Each ending is counted by itself, if at all, so
 * that outages do not use up the limit of another ending.
 *
 * - `let_go`: its process stops in good order, or the export is cancelled.
 * - `outage`: a server was away.
 * - `setback`: the source ended it, and the work may be the cause.
 * - `gave_way`: another session needed a table, or catalogs differed.
 * - `unexplained`: its process died, or an error has no known cause.
 */
export type Ending = 'let_go' | 'outage' | 'setback' | 'gave_way' | 'unexplained';

export interface RunRelease {
  readonly delayMs: number;
  readonly ending: Ending;
}

/** Runs that ended with an error. The wait before the next run grows with their number. */
const FAILED: ReadonlySet<Ending> = new Set(['outage', 'setback', 'unexplained'] as const);

/**
 * Releases the export: a running one is claimed again after `delayMs`, a cancelling one ends. A claim counts its run as
 * unexplained, and this corrects the count, also if the lease has expired meanwhile and the next run has begun.
 */
export async function releaseExport(
  db: Queryable,
  claim: ClaimedExport,
  { delayMs, ending }: RunRelease,
): Promise<void> {
  const add = (isOne: boolean) => (isOne ? 1 : 0);
  await db.query(
    `update exports set
       lease_owner = case when run_attempt = $2 then null else lease_owner end,
       lease_expires_at = case when run_attempt = $2 then now() + $4 * interval '1 millisecond' else lease_expires_at end,
       run_count = greatest(run_count - $5, case when run_attempt = $2 then 0 else 1 end),
       failed_runs = failed_runs + $6, setback_runs = setback_runs + $7, gave_way_runs = gave_way_runs + $8
     where id = $1 and status in ('running', 'cancelling') and (run_attempt = $2 and lease_owner = $3 or run_attempt > $2)`,
    [
      ...fence(claim),
      delayMs,
      add(ending !== 'unexplained'),
      add(FAILED.has(ending)),
      add(ending === 'setback'),
      add(ending === 'gave_way'),
    ],
  );
}
