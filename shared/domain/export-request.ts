export const EXPORT_FORMATS = ['jsonl', 'csv', 'parquet'] as const;
export const EXPORT_COMPRESSIONS = ['none', 'gzip', 'zstd'] as const;

/** A slower export would hold its snapshot for days, and one chunk longer than a reader may take. */
export const MIN_ROWS_PER_SECOND = 1_000;
export const MAX_ROWS_PER_SECOND = 10_000_000;

/** How an export's files are to be written. Values of a later version may be among them. */
export interface OutputRequest {
  readonly format: string;
  readonly compression: string;
  /** Null: a file for each resource. */
  readonly archive: string | null;
  readonly isCsvSafe: boolean;
}

/** An export as it was asked for, with everything relative or defaulted resolved; kept in `exports.request`. */
export interface ExportRequest {
  /** Resources asked for by name. What came along by `include_related` stands in `exports.resources` with them. */
  readonly resources: readonly string[];
  readonly format: (typeof EXPORT_FORMATS)[number];
  /** Of each file, before it comes to an archive. Parquet is compressed inside, and has `none`. */
  readonly compression: (typeof EXPORT_COMPRESSIONS)[number];
  /** Null: a file for each resource. */
  readonly archive: 'zip' | null;
  /** In CSV, an apostrophe before each cell that a spreadsheet would take for a formula. */
  readonly csv_safe: boolean;
  readonly include_deleted: boolean;
  readonly include_related: boolean;
  readonly date_range: ExportDateRange | null;
  /** Columns that the files have, in column order and with the key; null for all. Of exports of one resource only. */
  readonly fields: readonly string[] | null;
  /** The earlier export of which this one holds the changes since then; null for an export of everything. */
  readonly changes_since: string | null;
  /** The past moment whose state it holds, RFC 3339 in UTC; null for the state while it is made. */
  readonly as_of: string | null;
  /** How fast its rows are read from the source at most, on average over some seconds; null for as fast as they come. */
  readonly max_rows_per_second: number | null;
}

/**
 * From inclusive, to exclusive; RFC 3339 in UTC. Related resources that only came along follow what they refer to: of
 * those whose table has a foreign key to a resource in the range, the records that belong to it; of others, all.
 */
export interface ExportDateRange {
  readonly from: string;
  readonly to: string;
  /** Null: each resource's own column. */
  readonly field: string | null;
}
