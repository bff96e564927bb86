import { z } from 'zod';
import { type Catalog, findResource, type Resource } from '../../../shared/domain/catalog.ts';
import { ExportFailedError } from '../extraction-errors.ts';

/** What of a request decides which rows an export holds. */
export interface ExportRequest {
  /** Resources asked for by name, as opposed to those that came along with them. */
  readonly resources: readonly string[];
  readonly includeDeleted: boolean;
  /** Resources came along with those asked for, and every reference between them has to resolve. */
  readonly includeRelated: boolean;
  /** `from` inclusive, `to` exclusive; RFC 3339. */
  readonly dateRange:
    | { readonly from: string | null; readonly to: string | null; readonly field: string | null }
    | undefined;
  /** The earlier export whose changes since then are wanted, in place of everything. */
  readonly changesSince: string | null;
  /** The past moment whose state is wanted, RFC 3339; null for the present. */
  readonly asOf: string | null;
  /** How fast rows are read at most; null for no limit. */
  readonly maxRowsPerSecond: number | null;
}

const REQUEST = z.object({
  resources: z.array(z.string()),
  include_deleted: z.boolean().default(false),
  include_related: z.boolean().default(false),
  date_range: z
    .object({
      from: z.string().nullish(),
      to: z.string().nullish(),
      field: z.string().nullish(),
    })
    .nullish(),
  changes_since: z.string().nullish(),
  as_of: z.string().nullish(),
  max_rows_per_second: z.number().positive().nullish(),
});

/** Reads a request as the API stored it. @throws ExportFailedError when it is none */
export function parseExportRequest(stored: unknown): ExportRequest {
  const parsed = REQUEST.safeParse(stored);
  if (!parsed.success) {
    throw new ExportFailedError('invalid_request', 'This version cannot read the stored request.', {
      cause: parsed.error,
    });
  }
  const {
    resources,
    include_deleted: includeDeleted,
    include_related: includeRelated,
    date_range: range,
    changes_since: changesSince,
    as_of: asOf,
    max_rows_per_second: maxRowsPerSecond,
  } = parsed.data;
  return {
    resources,
    includeDeleted,
    includeRelated,
    dateRange: range
      ? { from: range.from ?? null, to: range.to ?? null, field: range.field ?? null }
      : undefined,
    changesSince: changesSince ?? null,
    asOf: asOf ?? null,
    maxRowsPerSecond: maxRowsPerSecond ?? null,
  };
}

/** @throws ExportFailedError for a resource that has left the catalog since the export was asked for */
export function resourceOf(catalog: Catalog, name: string): Resource {
  const resource = findResource(catalog, name);
  if (resource === undefined) {
    throw new ExportFailedError(
      'invalid_request',
      `The resource ${name} is not in the catalog: restore it, or create an export without it.`,
    );
  }
  return resource;
}
