import type { Queryable } from '../../postgres/queryable.ts';
import { type ReadSince, type StoredReadSince, toReadSince } from '../exports/chunked-reading.ts';
import { isKnownRequest } from '../exports/export-request.ts';
import { isSuspectSql, mayClaimSql, roomParameter, type SuspectRoom } from '../exports/suspect-exports.ts';
import { EXPORT_LEASE_SECONDS } from '../leases.ts';

// The claim of chunks by a reader. `hold-chunks.ts` has what it does with them.

/** A chunk for this process to read, with what it needs of the export. */
export interface ClaimedChunk {
  readonly exportId: string;
  readonly resource: string;
  readonly chunk: number;
  /** Fences all writes of this attempt, and marks its rows. */
  readonly attempt: number;
  readonly runAttempt: number;
  /** Claims whose ending is unexplained, including this one. */
  readonly tries: number;
  /** Earlier attempts at it, or runs of its export, may have ended their processes. */
  readonly isSuspect: boolean;
  /** How often the source ended an attempt, perhaps because of this chunk. */
  readonly setbackCount: number;
  /** How often it was released because another session needed its table. */
  readonly gaveWayCount: number;
  readonly owner: string;
  /** The export's snapshot; undefined for a chunk with a snapshot of its own. */
  readonly held: { readonly name: string; readonly snapshot: string } | undefined;
  /** The start of the read of a chunked export; undefined for other exports. */
  readonly since: ReadSince | undefined;
  readonly lowerKey: readonly string[] | null;
  readonly upperKey: readonly string[] | null;
  /** An estimate until `planRows`, for a chunk with a snapshot of its own. */
  readonly rowsPlanned: number;
  /** Null: all accounts. */
  readonly accountSourceId: string | null;
  /** All resources of the export. */
  readonly resources: readonly string[];
  readonly request: unknown;
  /** Trace context of the export's run; null when it is not traced. */
  readonly traceparent?: string | null;
}

/**
 * Chunks of one run that are read in one pass, ordered by resource and number: a large one alone, or several small
 * ones.
 */
export type ChunkBatch = readonly [ClaimedChunk, ...ClaimedChunk[]];

export interface BatchLimits {
  readonly maxChunks: number;
  /** Limit of all chunks together; a single chunk may have more. */
  readonly maxRows: number;
}

export interface ClaimOptions extends Partial<BatchLimits> {
  /**
   * The fingerprint of each resource's catalog entry. All chunks of an export must have the same records and columns,
   * and services do not restart at the same time, so chunks planned with other entries are not claimed. Undefined: no
   * condition.
   */
  readonly catalog?: Readonly<Record<string, string>>;
  /** Claims only chunks for which `isSmallChunk` is true. */
  readonly isSmallOnly?: boolean;
  /** `any` by default. */
  readonly room?: SuspectRoom;
}

const SMALL_ROWS = 5_000;

/**
 * Whether the chunk is its whole resource, under the export's snapshot, with so few rows that round trips take longer
 * than reading.
 */
export function isSmallChunk({ held, lowerKey, upperKey, rowsPlanned }: ClaimedChunk): boolean {
  return held !== undefined && lowerKey === null && upperKey === null && rowsPlanned <= SMALL_ROWS;
}

/** This many chunks share the cost of a session, a transaction and a request. They are locked and leased together. */
const BATCH_LIMITS: BatchLimits = { maxChunks: 25, maxRows: SMALL_ROWS };

/**
 * `first` and `wanted` read without locks. Then the export's row is updated first and the chunks' rows last, in the
 * same order as a new run of the export does, so the two can't deadlock. The later one finds the chunks taken.
 *
 * Order: the account with the fewest chunks being read, then the account that got one the longest ago, then the same by
 * export. So with more accounts than readers, all take turns, and a new account waits for one round only.
 *
 * A chunk that was tried before is claimed alone, so that its fault affects no other.
 *
 * An export with a limit of rows per second is read batch by batch, because each reader paces itself alone. Two claims
 * at the same moment may read two batches at once.
 */
const CLAIM_CHUNKS = `
with reading as (
  select e.account_id, e.id as export_id, count(*) as count
  from export_chunks c
  join exports e on e.id = c.export_id
  where c.state = 'reading' and c.lease_expires_at >= now()
  group by e.id
), served as materialized (
  select account_id, coalesce(max(chunk_claimed_at), min(started_at)) as at from exports
  where status = 'running' group by account_id
), first as (
  select c.export_id, c.run_attempt, c.resource, c.chunk, c.tries + c.setbacks + c.gave_way as earlier
  from export_chunks c
  join exports e on e.id = c.export_id and e.status = 'running' and e.run_attempt = c.run_attempt
  join served s on s.account_id is not distinct from e.account_id
  where c.state in ('planned', 'reading') and (c.lease_expires_at is null or c.lease_expires_at < now())
    and (e.request->>'max_rows_per_second' is null or not exists (
      select from reading r where r.export_id = e.id
    ))
    and ${isKnownRequest('e.request')}
    and ${mayClaimSql('$7', 'c.export_id', 'c.tries + e.run_count - 1')}
    and coalesce(coalesce(e.read_since->'catalog', e.run_catalog) <@ $5::jsonb, true)
    and (not $6 or c.snapshot_name is not null and c.lower_key is null and c.upper_key is null
      and c.rows_planned <= ${SMALL_ROWS})
  order by (select coalesce(sum(r.count), 0) from reading r where r.account_id is not distinct from e.account_id),
    s.at, (select coalesce(sum(r.count), 0) from reading r where r.export_id = e.id),
    coalesce(e.chunk_claimed_at, e.started_at), e.created_at, c.resource, c.chunk
  limit 1
), candidates as (
  select c.export_id, c.resource, c.chunk, row_number() over in_order as place, sum(c.rows_planned) over in_order as rows_so_far
  from first f
  join export_chunks c on c.export_id = f.export_id and c.run_attempt = f.run_attempt
    and (c.resource, c.chunk) >= (f.resource, f.chunk)
  where c.state in ('planned', 'reading') and (c.lease_expires_at is null or c.lease_expires_at < now())
    and (c.tries + c.setbacks + c.gave_way + f.earlier = 0 or (c.resource, c.chunk) = (f.resource, f.chunk))
  window in_order as (order by c.resource, c.chunk)
), wanted as (
  select * from candidates where place = 1 or (place <= $3 and rows_so_far <= $4)
), counted as (
  update exports e set attempt = e.attempt + 1, chunk_claimed_at = clock_timestamp()
  from first f where e.id = f.export_id and e.status = 'running'
  returning e.id, e.attempt, e.run_attempt, e.run_count, e.snapshot, e.read_since - 'table_forms' as read_since, e.request, e.resources, e.account_id,
    coalesce(e.run_traceparent, e.traceparent) as traceparent
), claimed as (
  update export_chunks c
  set state = 'reading', attempt = e.attempt, tries = c.tries + 1, rows_extracted = 0, started_at = now(),
    lease_owner = $1, lease_expires_at = now() + $2 * interval '1 second',
    -- Under a snapshot of its own, each try may see other rows: the part of an earlier one goes. Nulls without a row.
    (rows_written, part_name, bytes_written, schema_id, written_at) = (
      select c.rows_written, c.part_name, c.bytes_written, c.schema_id, c.written_at where c.snapshot_name is not null
    ),
    record_keys = null, read_lsn = null, seen = null
  from wanted w, counted e
  where c.export_id = w.export_id and c.resource = w.resource and c.chunk = w.chunk
    and e.id = c.export_id and e.run_attempt = c.run_attempt
    and c.state in ('planned', 'reading') and (c.lease_expires_at is null or c.lease_expires_at < now())
  returning c.export_id, c.resource, c.chunk, c.attempt, c.run_attempt, c.tries, c.setbacks, c.gave_way, c.snapshot_name,
    ${isSuspectSql('c.tries + e.run_count - 2')} as is_suspect, c.lower_key, c.upper_key, c.rows_planned::text, e.snapshot, e.read_since, e.request, e.resources, e.account_id,
    e.traceparent
)
select c.*, a.source_id, (select count(*) from wanted) as wanted_count
from (select 1) one
left join claimed c on true
left join accounts a on a.id = c.account_id
order by c.resource, c.chunk`;

interface ClaimRow {
  export_id: string | null;
  resource: string;
  chunk: number;
  attempt: number;
  run_attempt: number;
  tries: number;
  is_suspect: boolean;
  setbacks: number;
  gave_way: number;
  snapshot_name: string | null;
  lower_key: string[] | null;
  upper_key: string[] | null;
  rows_planned: string;
  snapshot: { xmin: string; xmax: string; xip: string[] } | null;
  read_since: StoredReadSince | null;
  request: unknown;
  resources: string[];
  source_id: string | null;
  traceparent: string | null;
  wanted_count: string;
}

/** Limit of races lost in a row to other extractors, before the caller's next poll. */
const MAX_RACES = 5;

/**
 * Claims chunks that wait, or whose reader died, of the export whose turn it is; undefined when there are none. Two
 * processes never get the same attempt.
 */
export async function claimChunks(
  db: Queryable,
  owner: string,
  {
    maxChunks = BATCH_LIMITS.maxChunks,
    maxRows = BATCH_LIMITS.maxRows,
    catalog = {},
    isSmallOnly = false,
    room = 'any',
  }: ClaimOptions = {},
): Promise<ChunkBatch | undefined> {
  for (let race = 0; race < MAX_RACES; race += 1) {
    const { rows } = await db.query<ClaimRow>({
      name: 'claim_chunks',
      text: CLAIM_CHUNKS,
      values: [
        owner,
        EXPORT_LEASE_SECONDS,
        maxChunks,
        maxRows,
        JSON.stringify(catalog),
        isSmallOnly,
        roomParameter(room),
      ],
    });
    const [first, ...others] = rows.flatMap((row) =>
      row.export_id === null ? [] : [toChunk(row, row.export_id, owner)],
    );
    if (first !== undefined) return [first, ...others];
    if ((rows[0]?.wanted_count ?? '0') === '0') return undefined;
  }
  return undefined;
}

function toChunk(row: ClaimRow, exportId: string, owner: string): ClaimedChunk {
  return {
    exportId,
    resource: row.resource,
    chunk: row.chunk,
    attempt: row.attempt,
    runAttempt: row.run_attempt,
    tries: row.tries,
    isSuspect: row.is_suspect,
    setbackCount: row.setbacks,
    gaveWayCount: row.gave_way,
    owner,
    held: heldSnapshot(row),
    since: row.read_since === null ? undefined : toReadSince(row.read_since),
    lowerKey: row.lower_key,
    upperKey: row.upper_key,
    rowsPlanned: Number(row.rows_planned),
    accountSourceId: row.source_id,
    resources: row.resources,
    request: row.request,
    traceparent: row.traceparent,
  };
}

function heldSnapshot({ snapshot_name: name, snapshot }: ClaimRow): ClaimedChunk['held'] {
  if (name === null || snapshot === null) return undefined;
  const { xmin, xmax, xip } = snapshot;
  return { name, snapshot: `${xmin}:${xmax}:${xip.join(',')}` };
}
