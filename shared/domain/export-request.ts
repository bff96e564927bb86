/** An export as it was asked for, with everything relative or defaulted resolved; kept in `exports.request`. */
export interface ExportRequest {
  /** Resources asked for by name. What came along by `include_related` stands in `exports.resources` with them. */
  readonly resources: readonly string[];
  readonly format: 'jsonl';
  readonly compression: 'none' | 'gzip';
  readonly archive: null;
  readonly include_deleted: boolean;
  readonly include_related: boolean;
  readonly date_range: ExportDateRange | null;
  readonly fields: null;
}

/** From inclusive, to exclusive; RFC 3339 in UTC. Related resources that only came along are taken whole. */
export interface ExportDateRange {
  readonly from: string;
  readonly to: string;
  /** Null: each resource's own column. */
  readonly field: string | null;
}
