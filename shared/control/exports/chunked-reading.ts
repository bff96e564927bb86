import type { TableForm } from '../../catalog/table-form.ts';
import { parseLsn } from '../../domain/lsn.ts';
import { parseSnapshot } from '../../domain/snapshot.ts';
import type { Queryable } from '../../postgres/queryable.ts';
import type { SeenSnapshot } from '../routes.ts';
import type { ClaimedExport, SnapshotKind } from './queue-exports.ts';

// The read of a chunked export. It outlives its runs: the next run takes over the chunks of a lost one.

/** The start of the read. Every chunk's snapshot sees at least what this one saw. */
export interface ReadSince {
  /** `xmin:xmax:xip,…`; everything that it sees is durable. */
  readonly snapshot: string;
  /** WAL insert position after the snapshot, `X/Y`: everything that it sees was written before it. */
  readonly lsn: string;
  /** The feed's settled position before the snapshot, `X/Y`: everything at or before it is in the snapshot. */
  readonly startLsn: string;
  readonly systemId: string;
  readonly timeline: number;
  /** By the source's clock, in ISO 8601. */
  readonly takenAt: string;
  /** The fingerprint of each resource's catalog entry, with which all chunks are planned and read. */
  readonly catalog: Readonly<Record<string, string>>;
}

export interface Reading {
  /** Null until it is decided. */
  readonly kind: SnapshotKind | null;
  /** Null until a chunked read has started. */
  readonly since: ReadSince | null;
  /** The tables' forms at that time, as they were stored. */
  readonly tableForms: unknown;
}

/** Fences a statement: `$1` to `$3` are those of `fence`. */
const HELD = `id = $1 and run_attempt = $2 and lease_owner = $3 and status = 'running'`;

const fence = ({ id, runAttempt, owner }: ClaimedExport) => [id, runAttempt, owner];

export interface StoredReadSince {
  snapshot: string;
  lsn: string;
  start_lsn: string;
  system_id: string;
  timeline: number;
  /** Earlier versions did not store these two. */
  taken_at?: string;
  catalog?: Readonly<Record<string, string>>;
  table_forms?: unknown;
}

export function toReadSince(stored: StoredReadSince): ReadSince {
  const { snapshot, lsn, start_lsn: startLsn, system_id: systemId, timeline } = stored;
  const { taken_at: takenAt = '', catalog = {} } = stored;
  return { snapshot, lsn, startLsn, systemId, timeline, takenAt, catalog };
}

/** @returns undefined when another holder has the export */
export async function readReading(db: Queryable, claim: ClaimedExport): Promise<Reading | undefined> {
  const { rows } = await db.query<{
    snapshot_kind: SnapshotKind | null;
    read_since: StoredReadSince | null;
  }>(`select snapshot_kind, read_since from exports where ${HELD}`, fence(claim));
  const row = rows[0];
  if (row === undefined) return undefined;
  return {
    kind: row.snapshot_kind,
    since: row.read_since && toReadSince(row.read_since),
    tableForms: row.read_since?.table_forms,
  };
}

/**
 * Decides how the rows are read, and removes chunks of the other kind.
 *
 * @param reason why the other kind is not used; for the customer
 * @returns false when another holder has the export
 */
export async function decideReading(
  db: Queryable,
  claim: ClaimedExport,
  kind: SnapshotKind,
  reason: string | null,
): Promise<boolean> {
  const { rowCount } = await db.query(
    `with held as (
       update exports set snapshot_kind = $4, snapshot_reason = $5, read_since = null, all_planned = false,
         snapshot = null, start_lsn = null, seal_token = null, sealed_lsn = null
       where ${HELD} returning id
     ), gone as (delete from export_chunks where export_id in (select id from held))
     select from held`,
    [...fence(claim), kind, reason],
  );
  return rowCount === 1;
}

/**
 * Starts a chunked read, without chunks. Its keys are removed once the export has ended.
 *
 * @returns false when another holder has the export
 */
export async function beginReading(
  db: Queryable,
  claim: ClaimedExport,
  since: ReadSince,
  tableForms: Readonly<Record<string, TableForm>>,
): Promise<boolean> {
  const { snapshot, lsn, startLsn, systemId, timeline, takenAt, catalog } = since;
  const stored: StoredReadSince = {
    snapshot,
    lsn,
    start_lsn: startLsn,
    system_id: systemId,
    timeline,
    taken_at: takenAt,
    catalog,
    table_forms: tableForms,
  };
  const { rowCount } = await db.query(
    `with held as (update exports set read_since = $4, has_keys = true where ${HELD} returning id),
       gone as (delete from export_chunks where export_id in (select id from held))
     select from held`,
    [...fence(claim), JSON.stringify(stored)],
  );
  return rowCount === 1;
}

/** Shows that the read continues. @returns false when another holder has the export */
export async function showReading(db: Queryable, claim: ClaimedExport): Promise<boolean> {
  const { rowCount } = await db.query(`update exports set phase = 'extracting' where ${HELD}`, fence(claim));
  return rowCount === 1;
}

/** How far a resource is planned. */
export interface PlannedUpTo {
  readonly nextChunk: number;
  /** The greatest key within the chunks; null without chunks, or when they cover all keys. */
  readonly lowerKey: readonly string[] | null;
  /** The last chunk has no upper bound. */
  readonly isWhole: boolean;
}

/** How far each resource is planned. One without chunks has no entry. */
export async function readPlannedUpTo(db: Queryable, exportId: string): Promise<Map<string, PlannedUpTo>> {
  const { rows } = await db.query<{ resource: string; chunk: number; upper_key: string[] | null }>(
    `select distinct on (resource) resource, chunk, upper_key from export_chunks
     where export_id = $1 order by resource, chunk desc`,
    [exportId],
  );
  return new Map(
    rows.map(({ resource, chunk, upper_key: upperKey }) => [
      resource,
      { nextChunk: chunk + 1, lowerKey: upperKey, isWhole: upperKey === null },
    ]),
  );
}

/** The latest position that a replica had replayed after a chunk was read from it, `X/Y`; null without such a chunk. */
export async function readLatestReplayed(db: Queryable, exportId: string): Promise<string | null> {
  const { rows } = await db.query<{ lsn: string | null }>(
    'select max(read_lsn)::text as lsn from export_chunks where export_id = $1',
    [exportId],
  );
  return rows[0]?.lsn ?? null;
}

/** The snapshot of a chunk. */
export interface StoredSeen {
  /** `xmin:xmax:xip,…` */
  readonly snapshot: string;
  /** The feed's settled position before the snapshot, `X/Y`. */
  readonly from_lsn: string;
  /** WAL insert position after the snapshot, `X/Y`. */
  readonly lsn: string;
}

/**
 * The distinct snapshots of these resources' chunks that were read from the primary; undefined when an extractor of an
 * earlier version read one without storing its snapshot.
 */
export async function readSeenSnapshots(
  db: Queryable,
  exportId: string,
  resources: readonly string[],
): Promise<SeenSnapshot[] | undefined> {
  const { rows } = await db.query<{ seen: StoredSeen | null }>(
    'select distinct seen from export_chunks where export_id = $1 and resource = any($2) and read_lsn is null',
    [exportId, resources],
  );
  const seen = rows.flatMap((row) => row.seen ?? []);
  if (seen.length < rows.length) return undefined;
  return seen.map((each) => ({
    snapshot: parseSnapshot(each.snapshot),
    from: parseLsn(each.from_lsn),
    to: parseLsn(each.lsn),
  }));
}

/** Upper bounds of a resource's chunks in order, except for the last one, which has none. */
export async function readChunkEnds(
  db: Queryable,
  exportId: string,
  resource: string,
): Promise<(readonly string[])[]> {
  const { rows } = await db.query<{ upper_key: string[] }>(
    `select upper_key from export_chunks
     where export_id = $1 and resource = $2 and upper_key is not null order by chunk`,
    [exportId, resource],
  );
  return rows.map((row) => row.upper_key);
}

/** The packed keys of a chunk's rows. @throws Error when the chunk does not exist or is not read */
export async function readPackedKeys(
  db: Queryable,
  exportId: string,
  resource: string,
  chunk: number,
): Promise<Buffer> {
  const { rows } = await db.query<{ record_keys: Buffer | null }>(
    'select record_keys from export_chunks where export_id = $1 and resource = $2 and chunk = $3',
    [exportId, resource, chunk],
  );
  const packed = rows[0]?.record_keys;
  if (packed == null) throw new Error(`chunk ${chunk} of ${resource} has no keys`);
  return packed;
}
