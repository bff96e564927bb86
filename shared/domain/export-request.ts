/** Formats of files that hold rows. */
export const FILE_FORMATS = ['jsonl', 'csv', 'parquet'] as const;
/** `digest`: row counts and digests to compare a replica with, instead of rows. */
export const EXPORT_FORMATS = [...FILE_FORMATS, 'digest'] as const;
/**
 * `single`: all rows are read under one snapshot, which is held until then. `chunked`: in short transactions, and the feed makes
 * them the state of one later snapshot.
 */
export const SNAPSHOT_KINDS = ['single', 'chunked'] as const;
export const EXPORT_COMPRESSIONS = ['none', 'gzip', 'zstd'] as const;

/** A slower export would hold its snapshot for days, and one chunk longer than a reader may take. */
export const MIN_ROWS_PER_SECOND = 1_000;
export const MAX_ROWS_PER_SECOND = 10_000_000;

/**
 * A requested export, with defaults and relative times resolved. Its members are those of `exports.request`, which
 * `shared/control/exports/export-request.ts` reads.
 */
export interface ExportRequest {
  /** Resources requested by name. `exports.resources` also has those that `include_related` adds. */
  readonly resources: readonly string[];
  /** One of EXPORT_FORMATS, or a later version's. */
  readonly format: string;
  /** Of each file inside an archive. One of EXPORT_COMPRESSIONS, or a later version's. Parquet has `none`. */
  readonly compression: string;
  /** `zip`, or a later version's. Null: one file per resource. */
  readonly archive: string | null;
  /** CSV: adds an apostrophe before each cell that a spreadsheet would read as a formula. */
  readonly csv_safe: boolean;
  /** Digest: lists the records of these buckets. Null: the sums of all buckets. */
  readonly buckets: readonly number[] | null;
  readonly include_deleted: boolean;
  readonly include_related: boolean;
  readonly date_range: ExportDateRange | null;
  /** Columns of the files, in column order, the key included. Null: all. Only for an export of one resource. */
  readonly fields: readonly string[] | null;
  /** The earlier export whose later changes this one holds. Null: a full export. */
  readonly changes_since: string | null;
  /** Time of the exported state, RFC 3339 in UTC. Null: the time of the snapshot. */
  readonly as_of: string | null;
  /** How the rows are read: one of SNAPSHOT_KINDS, or a later version's. Null: by the number of rows. */
  readonly snapshot: string | null;
  /** Maximum rate at which rows are read from the source, averaged over some seconds. Null: unlimited. */
  readonly max_rows_per_second: number | null;
}

/** What of a request decides which rows an export holds. */
export type RowRequest = Omit<ExportRequest, keyof OutputRequest | 'fields' | 'snapshot'>;

/** How files are written. */
export type OutputRequest = Pick<
  ExportRequest,
  'format' | 'compression' | 'archive' | 'csv_safe' | 'buckets'
>;

/**
 * From inclusive, to exclusive; RFC 3339 in UTC. A resource that `include_related` adds has no range of its own: if its
 * table has a foreign key to a resource in the range, the export holds the rows that refer to exported rows, otherwise
 * all rows.
 */
export interface ExportDateRange {
  readonly from: string;
  readonly to: string;
  /** Null: the range column of each resource. */
  readonly field: string | null;
}
