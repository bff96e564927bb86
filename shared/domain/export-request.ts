/** An export as it was asked for, with everything relative or defaulted resolved; kept in `exports.request`. */
export interface ExportRequest {
  readonly resources: readonly string[];
  readonly format: 'jsonl';
  readonly compression: 'none' | 'gzip';
  readonly archive: null;
  readonly include_deleted: boolean;
  readonly include_related: boolean;
  readonly date_range: ExportDateRange | null;
  readonly fields: null;
}

/** From inclusive, to exclusive; RFC 3339 in UTC. The column is one that each of the export's resources has. */
export interface ExportDateRange {
  readonly from: string;
  readonly to: string;
  readonly field: string;
}
