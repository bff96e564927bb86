import { z } from 'zod';
import type { OutputRequest } from '../../domain/export-request.ts';

/** `exports.request` as services read it. */
export interface ExportRequest {
  /** Resources asked for by name, as opposed to those that came along with them. */
  readonly resources: readonly string[];
  readonly output: OutputRequest;
  readonly includeDeleted: boolean;
  /** Resources came along with those asked for, and every reference between them has to resolve. */
  readonly includeRelated: boolean;
  /** `from` inclusive, `to` exclusive; RFC 3339. */
  readonly dateRange:
    | { readonly from: string | null; readonly to: string | null; readonly field: string | null }
    | undefined;
  /** The columns that the files have; null for all. */
  readonly fields: readonly string[] | null;
  /** The earlier export whose changes since then are wanted, in place of everything. */
  readonly changesSince: string | null;
  /** The past moment whose state is wanted, RFC 3339; null for the present. */
  readonly asOf: string | null;
  /** How fast rows are read at most; null for no limit. */
  readonly maxRowsPerSecond: number | null;
}

/** What of a request decides which rows an export holds. */
export type RowRequest = Omit<ExportRequest, 'output' | 'fields'>;

/** A stored request that this version can't read. */
export class UnreadableRequestError extends Error {
  override readonly name = 'UnreadableRequestError';
}

const optionalText = z.string().nullish().default(null);

/** Formats and compressions stay texts: one that this version does not know concerns only who writes the files. */
const STORED = z.object({
  resources: z.array(z.string()),
  format: z.string().default('jsonl'),
  compression: z.string().default('none'),
  archive: optionalText,
  csv_safe: z.boolean().default(false),
  include_deleted: z.boolean().default(false),
  include_related: z.boolean().default(false),
  date_range: z.object({ from: optionalText, to: optionalText, field: optionalText }).nullish(),
  fields: z.array(z.string()).nullish().default(null),
  changes_since: optionalText,
  as_of: optionalText,
  max_rows_per_second: z.number().positive().nullish().default(null),
});

/**
 * Reads a request as the API stored it, also one that an earlier version stored without later members.
 *
 * @throws UnreadableRequestError
 */
export function parseExportRequest(stored: unknown): ExportRequest {
  const { data, error } = STORED.safeParse(stored);
  if (error !== undefined) {
    throw new UnreadableRequestError('this version cannot read the stored request', { cause: error });
  }
  const { date_range: range } = data;
  return {
    resources: data.resources,
    output: {
      format: data.format,
      compression: data.compression,
      archive: data.archive ?? null,
      isCsvSafe: data.csv_safe,
    },
    includeDeleted: data.include_deleted,
    includeRelated: data.include_related,
    dateRange: range
      ? { from: range.from ?? null, to: range.to ?? null, field: range.field ?? null }
      : undefined,
    fields: data.fields ?? null,
    changesSince: data.changes_since ?? null,
    asOf: data.as_of ?? null,
    maxRowsPerSecond: data.max_rows_per_second ?? null,
  };
}
