import { z } from 'zod';
import type { ExportRequest } from '../../domain/export-request.ts';
import { readStored } from '../stored-request.ts';

const text = z.string().nullable().default(null);

/** Unknown formats and compressions are not refused here: only the writer has to know them. */
const MEMBERS = {
  resources: z.array(z.string()),
  format: z.string().default('jsonl'),
  compression: z.string().default('none'),
  archive: text,
  csv_safe: z.boolean().default(false),
  buckets: z.array(z.number()).nullable().default(null),
  include_deleted: z.boolean().default(false),
  include_related: z.boolean().default(false),
  date_range: z.object({ from: z.string(), to: z.string(), field: text }).nullable().default(null),
  fields: z.array(z.string()).nullable().default(null),
  changes_since: text,
  as_of: text,
  snapshot: text,
  max_rows_per_second: z.number().positive().nullable().default(null),
};

const STORED: z.ZodType<ExportRequest> = z.object(MEMBERS);

/**
 * SQL that checks whether this version supports everything that a stored request asks for. Services claim no other
 * exports: while processes of two versions run, a newer one takes it, and an older one would ignore unknown members. A
 * member that is null or false asks for nothing.
 *
 * @param request the column, such as `e.request`
 */
export function isKnownRequest(request: string): string {
  const members = Object.keys(MEMBERS).join(',');
  return `not exists (select from jsonb_each(${request}) member
    where member.key <> all ('{${members}}'::text[]) and member.value not in ('null', 'false'))`;
}

/**
 * Reads `exports.request` without members that this version does not know. Members that an earlier version did not
 * store get their defaults.
 *
 * @throws UnreadableRequestError
 */
export function parseExportRequest(stored: unknown): ExportRequest {
  return readStored(STORED, stored);
}
