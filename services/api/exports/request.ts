import { z } from 'zod';
import { type Catalog, findResource, type Resource } from '../../../shared/domain/catalog.ts';
import {
  EXPORT_COMPRESSIONS,
  EXPORT_FORMATS,
  type ExportDateRange,
  type ExportRequest,
  MAX_ROWS_PER_SECOND,
  MIN_ROWS_PER_SECOND,
  SNAPSHOT_KINDS,
} from '../../../shared/domain/export-request.ts';
import { publicRange } from '../../../shared/domain/public-names.ts';
import { BUCKETS } from '../../../shared/formats/record-digest.ts';
import type { FieldError } from '../../../shared/runtime/errors.ts';
import { formatInstant, instantSchema, parseInstant } from '../http/instant.ts';
import { invalid } from '../http/validate.ts';

const dateRangeSchema = z
  .strictObject({
    from: instantSchema.meta({ description: 'Inclusive.' }),
    to: instantSchema.optional().meta({ description: 'Exclusive. Default: the time of the request.' }),
    field: z
      .string()
      .min(1)
      .max(63)
      .optional()
      .meta({ description: 'A timestamp column. Default: the range column of the resource in the catalog.' }),
  })
  .refine(({ from, to }) => to === undefined || (parseInstant(from) ?? 0n) <= (parseInstant(to) ?? 0n), {
    path: ['from'],
    error: 'must not be after to',
  });

/** The body of `POST /exports`, for the resources of this catalog. */
export function exportBodySchema(catalog: Catalog) {
  const names = catalog.resources.map(({ name }) => name);
  const resource = z.enum(names, { error: `must be a resource: ${names.join(', ')}` });
  return z.strictObject({
    resource: resource.optional(),
    resources: z.array(resource).min(1).max(names.length).optional(),
    format: z.enum(EXPORT_FORMATS).default('jsonl').meta({
      description:
        'digest: row counts and digests instead of rows, to compare a replica with. as_of is then the time of the request unless it is given.',
    }),
    compression: z.enum(EXPORT_COMPRESSIONS).default('none').meta({
      description:
        'Compression of each file, also inside an archive. Must be none for parquet, which compresses internally.',
    }),
    archive: z
      .enum(['zip'])
      .nullable()
      .default(null)
      .meta({ description: 'Packs all files and their manifest into one archive.' }),
    csv_safe: z.boolean().default(false).meta({
      description:
        'For csv: puts an apostrophe before each cell that starts with = + - @, tab or CR. Numbers are left unchanged.',
    }),
    buckets: z
      .array(
        z
          .int()
          .min(0)
          .max(BUCKETS - 1),
      )
      .min(1)
      .max(BUCKETS)
      .optional()
      .meta({
        description:
          'For digest: buckets whose records are listed with their digests. Default: the sums of all buckets.',
      }),
    date_range: dateRangeSchema.optional(),
    include_deleted: z.boolean().default(false),
    include_related: z.boolean().default(false),
    fields: z
      .array(z.string().min(1).max(63))
      .min(1)
      .max(1_600)
      .optional()
      .meta({ description: 'Columns of the file besides the key columns. For an export of one resource.' }),
    changes_since: z.string().min(1).max(100).optional().meta({
      description:
        'ID of an earlier export. The files hold the records changed or deleted since its snapshot.',
    }),
    as_of: instantSchema.optional().meta({
      description:
        'A past time that the feed still covers. The files hold the records as they were at that time, with the same bytes on every export.',
    }),
    snapshot: z.enum(SNAPSHOT_KINDS).nullable().default(null).meta({
      description:
        'single: reads all rows under one snapshot, which the source holds until then. chunked: reads them in short transactions, and the feed brings them to the state of one snapshot at the end. Default: chunked for a large export, where the operator has set a size. An export that cannot be chunked is single, and its snapshot says why.',
    }),
    max_rows_per_second: z
      .int()
      .min(MIN_ROWS_PER_SECOND)
      .max(MAX_ROWS_PER_SECOND)
      .nullable()
      .default(null)
      .meta({
        description:
          'Limits the read rate on the source database. A slower export holds its snapshot longer.',
      }),
    dry_run: z
      .boolean()
      .default(false)
      .meta({ description: 'Estimates rows and duration. Creates no export.' }),
  });
}

export type ExportBody = z.output<ReturnType<typeof exportBodySchema>>;

/** Rules across fields. */
export function exportBodyRules(body: Readonly<Record<string, unknown>>): FieldError[] {
  return [...resourceRules(body), ...formatRules(body)];
}

function resourceRules(body: Readonly<Record<string, unknown>>): FieldError[] {
  if (body.resource === undefined && body.resources === undefined) {
    return [{ pointer: '/resource', detail: 'give one resource, or several in resources' }];
  }
  if (body.resource !== undefined && body.resources !== undefined) {
    return [{ pointer: '/resources', detail: 'give resource or resources, not both' }];
  }
  return [];
}

function formatRules({
  format,
  compression,
  csv_safe: isSafe,
  ...others
}: Readonly<Record<string, unknown>>): FieldError[] {
  const errors: FieldError[] = [];
  if (format === 'parquet' && (compression === 'gzip' || compression === 'zstd')) {
    errors.push({ pointer: '/compression', detail: 'must be none for parquet, which compresses internally' });
  }
  if (isSafe === true && format !== 'csv') {
    errors.push({ pointer: '/csv_safe', detail: 'is for the format csv only' });
  }
  if (format === 'digest') return [...errors, ...digestRules({ compression, ...others })];
  if (others.buckets !== undefined) {
    errors.push({ pointer: '/buckets', detail: 'is for the format digest only' });
  }
  return errors;
}

/** A digest is of a state, and its files are small. */
function digestRules(body: Readonly<Record<string, unknown>>): FieldError[] {
  const refused = [
    { pointer: '/compression', isGiven: body.compression !== undefined && body.compression !== 'none' },
    { pointer: '/archive', isGiven: body.archive != null },
    { pointer: '/changes_since', isGiven: body.changes_since !== undefined },
  ];
  return refused.flatMap(({ pointer, isGiven }) =>
    isGiven ? [{ pointer, detail: 'cannot be combined with the format digest; omit it' }] : [],
  );
}

/**
 * Replaces defaults and relative times, so that the stored request says exactly what the export does.
 *
 * @throws AppError `invalid` when a resource has no column for the date range
 */
export function resolveExport(body: ExportBody, catalog: Catalog, nowMs: number): ExportRequest {
  const names = [...new Set(body.resources ?? (body.resource === undefined ? [] : [body.resource]))];
  const resources = names.flatMap((name) => findResource(catalog, name) ?? []);
  return {
    resources: names,
    format: body.format,
    compression: body.compression,
    archive: body.archive,
    csv_safe: body.csv_safe,
    buckets: body.buckets === undefined ? null : [...new Set(body.buckets)],
    include_deleted: body.include_deleted,
    include_related: body.include_related,
    date_range: body.date_range === undefined ? null : resolveRange(body.date_range, resources, nowMs),
    fields: body.fields ?? null,
    changes_since: body.changes_since ?? null,
    as_of: body.as_of ?? (body.format === 'digest' ? formatInstant(BigInt(nowMs) * 1_000n) : null),
    snapshot: body.snapshot,
    max_rows_per_second: body.max_rows_per_second,
  };
}

/**
 * All resources of an export: the requested ones, and with `include_related` what they refer to over any
 * number of steps.
 */
export function resourcesOf(request: ExportRequest, catalog: Catalog): string[] {
  return request.include_related ? relatedOf(request.resources, catalog) : [...new Set(request.resources)];
}

/** The resources and what they refer to, over any number of steps. */
export function relatedOf(resources: readonly string[], catalog: Catalog): string[] {
  const all = new Set(resources);
  // A loop over a set also visits elements that the loop adds.
  for (const name of all) {
    for (const related of findResource(catalog, name)?.related ?? []) all.add(related);
  }
  return [...all];
}

function resolveRange(
  { from, to, field }: NonNullable<ExportBody['date_range']>,
  resources: readonly Resource[],
  nowMs: number,
): ExportDateRange {
  const without = resources.filter(({ range }) => field === undefined && range === undefined);
  if (without.length > 0) {
    const names = without.map(({ name }) => name).join(', ');
    throw invalid([
      {
        pointer: '/date_range',
        detail: `${names} has no range column in the catalog; give a column in field`,
      },
    ]);
  }
  const columns = new Set(resources.map((resource) => field ?? publicRange(resource)));
  const [column] = columns;
  return {
    from,
    to: to ?? formatInstant(BigInt(nowMs) * 1_000n),
    field: columns.size === 1 ? (column ?? null) : null,
  };
}
