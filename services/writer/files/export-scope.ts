import { z } from 'zod';
import type { RowShape } from '../../../shared/domain/row-shape.ts';

/** What of a request decides which files there are and what is in them, beside their format. */
export interface ExportScope {
  /** The columns that the files have; null for all. */
  readonly fields: readonly string[] | null;
  /** The earlier export whose changes these are; null for an export of everything. */
  readonly changesSince: string | null;
  /** The past moment that the export is of; null for the present. */
  readonly asOf: string | null;
}

const REQUEST = z.object({
  fields: z.array(z.string()).nullable().default(null),
  changes_since: z.string().nullable().default(null),
  as_of: z.string().nullable().default(null),
});

/** Reads a request as the API stored it. */
export function readScope(request: unknown): ExportScope {
  const { fields, changes_since: changesSince, as_of: asOf } = REQUEST.parse(request);
  return { fields, changesSince, asOf };
}

export function selectColumns(shape: RowShape, fields: readonly string[] | null): RowShape {
  if (fields === null) return shape;
  return { ...shape, columns: shape.columns.filter(({ name }) => fields.includes(name)) };
}
