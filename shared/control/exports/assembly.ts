import type { Queryable } from '../../postgres/queryable.ts';
import { currentTrace } from '../../runtime/tracing.ts';
import { EXPORT_LEASE_SECONDS } from '../leases.ts';
import { isKnownRequest } from './export-request.ts';

// The assembly of an export: claimed, its parts listed, and completed.

/** An export whose parts this writer is to assemble. */
export interface ClaimedAssembly {
  readonly exportId: string;
  /** Null: all accounts. */
  readonly accountId: string | null;
  readonly resources: readonly string[];
  /** The request with the API's defaults. */
  readonly request: unknown;
  readonly snapshot: unknown;
  /** For an as-of export the cut, `X/Y`: commits at or after it are not included. Null for others. */
  readonly cutLsn: string | null;
  /** Its parts were read under snapshots of their own; `export_keys` holds how the files differ from them. */
  readonly isChunked: boolean;
  /** Its parts have at most `smallBytes` of the claim. */
  readonly isSmall: boolean;
  readonly createdAt: Date;
  readonly runAttempt: number;
  /** Claims of this assembly so far, including this one. */
  readonly tryCount: number;
  /** Fences all writes of the claim. Each claim has another one. */
  readonly owner: string;
  /** Trace context of the export's run; null when it is not traced. */
  readonly traceparent?: string | null;
}

/** Read, sealed, and not claimed. */
const IS_READ = `
  e.status = 'running' and e.planned_at is not null and e.sealed_lsn is not null
  and (e.assembly_lease_expires_at is null or e.assembly_lease_expires_at < now())`;

/**
 * Ready: all chunks are planned, read and written, and the feed has passed the seal. `extracted` is checked too,
 * because the last row may be written before its reader has stored its count.
 */
const CLAIM = `
with ready as (
  select e.id, of_export.is_small
  from exports e, lateral (
    select e.snapshot_kind is distinct from 'chunked' and e.request->>'changes_since' is null
      and (select coalesce(sum(c.bytes_written), 0) from export_chunks c where c.export_id = e.id) <= $3 as is_small
  ) of_export
  where ${IS_READ}
    and not exists (
      select from export_chunks c
      where c.export_id = e.id and (c.rows_written is null or c.state <> 'extracted'))
    and ${isKnownRequest('e.request')}
    and (of_export.is_small or not $4)
  order by e.created_at
  limit 1
  for update of e skip locked
)
update exports e
set phase = 'assembling', assembly_owner = $1, assembly_count = e.assembly_count + 1,
  assembly_lease_expires_at = now() + $2 * interval '1 second'
from ready where e.id = ready.id
returning e.id, e.account_id, e.resources, e.request, e.snapshot, e.cut_lsn::text,
  coalesce(e.snapshot_kind = 'chunked', false) as is_chunked, ready.is_small, e.created_at, e.run_attempt, e.assembly_count,
  coalesce(e.run_traceparent, e.traceparent) as traceparent`;

interface ClaimRow {
  id: string;
  account_id: string | null;
  resources: string[];
  request: unknown;
  snapshot: unknown;
  cut_lsn: string | null;
  is_chunked: boolean;
  is_small: boolean;
  created_at: Date;
  run_attempt: number;
  assembly_count: number;
  traceparent: string | null;
}

/** Called often, so it is one small statement. */
export async function findAssemblies(db: Queryable): Promise<{
  /** Whether any export is read and sealed. Not all of its rows need to be written. */
  readonly isAnyRead: boolean;
  /** How long ago the most recent of the running exports started; undefined when none runs. */
  readonly latestStartMs: number | undefined;
}> {
  const { rows } = await db.query<{ is_any_read: boolean; latest_start_ms: number | null }>({
    name: 'find_assemblies',
    text: `select exists (select from exports e where ${IS_READ}) as is_any_read,
             (select extract(epoch from now() - max(started_at))::double precision * 1000
              from exports where status = 'running') as latest_start_ms`,
  });
  const [found] = rows;
  return { isAnyRead: found?.is_any_read === true, latestStartMs: found?.latest_start_ms ?? undefined };
}

/**
 * Claims the oldest export that is ready to be assembled; undefined without one. Two writers never get the same claim.
 */
export async function claimAssembly(
  db: Queryable,
  owner: string,
  { smallBytes, isSmallOnly }: { readonly smallBytes: number; readonly isSmallOnly: boolean },
): Promise<ClaimedAssembly | undefined> {
  const { rows } = await db.query<ClaimRow>({
    name: 'claim_assembly',
    text: CLAIM,
    values: [owner, EXPORT_LEASE_SECONDS, smallBytes, isSmallOnly],
  });
  const row = rows[0];
  if (row === undefined) return undefined;
  return {
    exportId: row.id,
    accountId: row.account_id,
    resources: row.resources,
    request: row.request,
    snapshot: row.snapshot,
    cutLsn: row.cut_lsn,
    isChunked: row.is_chunked,
    isSmall: row.is_small,
    createdAt: row.created_at,
    runAttempt: row.run_attempt,
    tryCount: row.assembly_count,
    owner,
    traceparent: row.traceparent,
  };
}

/** @returns false when the claim has ended: the export is being cancelled or has ended, or another writer has it */
export async function renewAssembly(db: Queryable, { exportId, owner }: ClaimedAssembly): Promise<boolean> {
  const { rowCount } = await db.query({
    name: 'renew_assembly',
    text: `update exports set assembly_lease_expires_at = now() + $3 * interval '1 second'
           where id = $1 and assembly_owner = $2 and status = 'running'`,
    values: [exportId, owner, EXPORT_LEASE_SECONDS],
  });
  return rowCount === 1;
}

/** Releases the claim; the export may be claimed again after `delayMs`. `isCounted: false`: the try does not count. */
export async function releaseAssembly(
  db: Queryable,
  { exportId, owner }: ClaimedAssembly,
  { delayMs, isCounted }: { delayMs: number; isCounted: boolean },
): Promise<void> {
  await db.query(
    `update exports
     set assembly_owner = null, assembly_lease_expires_at = now() + $3 * interval '1 millisecond',
       assembly_count = assembly_count - $4
     where id = $1 and assembly_owner = $2`,
    [exportId, owner, delayMs, isCounted ? 0 : 1],
  );
}

/** The chunks of one resource, and where their rows are. */
export interface ResourceParts {
  readonly resource: string;
  readonly rowsPlanned: number;
  readonly rowsExtracted: number;
  readonly rowsWritten: number;
  /** Ordered by chunk, and so by key. */
  readonly parts: readonly ChunkPart[];
  /** The schemas that the rows were encoded with: one, unless the table changed. */
  readonly schemaIds: readonly number[];
}

/** The rows of one chunk. */
export interface ChunkPart {
  readonly chunk: number;
  /** Null: the chunk has no rows. */
  readonly path: string | null;
  readonly rows: number;
  readonly bytes: number;
}

interface ChunkRow {
  resource: string;
  chunk: number;
  part_name: string | null;
  rows_planned: string;
  rows_extracted: string;
  rows_written: string;
  bytes_written: string | null;
  schema_id: number | null;
}

/** Lists the written chunks of an export by resource. A resource without rows has no entry. */
export async function listParts(db: Queryable, exportId: string): Promise<Map<string, ResourceParts>> {
  const { rows } = await db.query<ChunkRow>({
    name: 'list_parts',
    text: `select resource, chunk, part_name, rows_planned, rows_extracted, rows_written, bytes_written, schema_id
           from export_chunks where export_id = $1 order by resource, chunk`,
    values: [exportId],
  });
  const byResource = Map.groupBy(rows, ({ resource }) => resource);
  return new Map([...byResource].map(([resource, chunks]) => [resource, toResourceParts(resource, chunks)]));
}

function toResourceParts(resource: string, chunks: readonly ChunkRow[]): ResourceParts {
  const sum = (column: 'rows_planned' | 'rows_extracted' | 'rows_written') =>
    chunks.reduce((total, chunk) => total + Number(chunk[column]), 0);
  const schemaIds = new Set(chunks.map(({ schema_id: id }) => id).filter((id) => id !== null));
  return {
    resource,
    rowsPlanned: sum('rows_planned'),
    rowsExtracted: sum('rows_extracted'),
    rowsWritten: sum('rows_written'),
    parts: chunks.map((chunk) => ({
      chunk: chunk.chunk,
      path: chunk.part_name,
      rows: Number(chunk.rows_written),
      bytes: Number(chunk.bytes_written),
    })),
    schemaIds: [...schemaIds],
  };
}

/** The rows of one resource, in a file or in a member of an archive. */
export interface ResourceFileFacts {
  readonly name: string;
  readonly resource: string;
  readonly rows: number;
  readonly bytes: number;
  /** Hexadecimal, over the bytes of the downloaded or unpacked file. */
  readonly sha256: string;
  /** The sum of the digests of all records, in hexadecimal; for the format `digest`. */
  readonly digest?: string;
}

/** One published file, as in `exports.files` and the manifest. */
export interface ExportFile extends Omit<ResourceFileFacts, 'resource'> {
  /** Null: an archive of all resources. */
  readonly resource: string | null;
  /** Where it is in storage. */
  readonly path: string;
  /** The files in an archive. Its row count is their sum. */
  readonly members?: readonly ResourceFileFacts[];
}

const COMPLETE = `
with completed as (
  update exports
  set status = 'completed', phase = 'done', files = $4, rows_extracted = $5, rows_written = $5,
    completed_at = now(), expires_at = now() + $6 * interval '1 day',
    lease_owner = null, lease_expires_at = null, assembly_owner = null, assembly_lease_expires_at = null
  where id = $1 and run_attempt = $2 and assembly_owner = $3 and status = 'running'
  returning id
)
insert into outbox (topic, key, type, payload, traceparent)
select 'jobs', id, 'JobCompleted', jsonb_build_object('job_id', id, 'kind', 'export', 'rows', $5::bigint), $7
from completed`;

/**
 * Publishes an export, with its `JobCompleted`. From this commit on its files are promised, so they and the manifest
 * must be durable before.
 *
 * @returns false, without a change, when the claim had ended: a final state never changes
 */
export async function completeExport(
  db: Queryable,
  { exportId, runAttempt, owner }: ClaimedAssembly,
  files: readonly ExportFile[],
  retentionDays: number,
): Promise<boolean> {
  const rows = files.reduce((sum, file) => sum + file.rows, 0);
  const traceparent = currentTrace()?.traceparent ?? null;
  const { rowCount } = await db.query({
    name: 'complete_export',
    text: COMPLETE,
    values: [exportId, runAttempt, owner, JSON.stringify(files), rows, retentionDays, traceparent],
  });
  return rowCount === 1;
}
