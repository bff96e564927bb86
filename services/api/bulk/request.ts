import type { Pool } from 'pg';
import { z } from 'zod';
import { type BulkTable, loadBulkTable } from '../../../shared/bulk/bulk-table.ts';
import { canBeNamed } from '../../../shared/bulk/item-ids.ts';
import { type BulkOperation, findOperation } from '../../../shared/bulk/operation.ts';
import { CatalogBehindError } from '../../../shared/catalog/catalog-behind-error.ts';
import {
  type FilterInput,
  type FilterNode,
  MAX_CONDITIONS,
  MAX_FILTER_DEPTH,
  MAX_IN_VALUES,
} from '../../../shared/domain/bulk-filter.ts';
import { type Catalog, findResource, type Resource } from '../../../shared/domain/catalog.ts';
import { ExactNumber } from '../../../shared/domain/exact-json.ts';
import { AppError, type FieldError } from '../../../shared/runtime/errors.ts';
import { invalid } from '../http/validate.ts';
import { checkFilter, readFilter } from './check-filter.ts';
import { checkParams } from './check-params.ts';
import { itemIdsSchema } from './item-ids-schema.ts';

/** Enough for the largest list of IDs in any form. */
export const MAX_BULK_BODY_BYTES = 4 * 1_024 * 1_024;

/** Enough for the largest list of IDs with keys of several columns, and for the longest filter. */
export const MAX_BULK_BODY_VALUES = 60_000;

/** Limit of parameters, which are stored with each job and sent to its handler with each item. */
const MAX_PARAMS_BYTES = 64 * 1_024;
const MAX_PARAMS = 200;

/** About the time of a deployment. */
const BEHIND_RETRY_SECONDS = 5;

/** The body of `POST /bulk/operations`, for the resources of this catalog. */
export function bulkBodySchema(catalog: Catalog) {
  const names = catalog.resources.map(({ name }) => name);
  return z.strictObject({
    resource: z.enum(names, { error: `must be a resource: ${names.join(', ')}` }),
    operation: z.string().min(1).max(100),
    ids: itemIdsSchema.optional(),
    filter: z
      .custom<FilterInput>(isObject, 'must be an object of fields with conditions')
      .optional()
      .meta({
        type: 'object',
        additionalProperties: {},
        description: `{field: {eq, ne, in, gt, gte, lt, lte, is_null, prefix}}, combined by "and" and "or" with lists of filters. Limits: ${MAX_CONDITIONS} conditions, ${MAX_FILTER_DEPTH} levels, ${MAX_IN_VALUES} values in all lists of "in". Values have the same text form as in export files.`,
      }),
    file_id: z.string().max(100).optional(),
    params: z
      .custom<Readonly<Record<string, unknown>>>(isObject, 'must be an object')
      .superRefine((params, context) => {
        const fault = paramsFault(params);
        if (fault !== undefined) context.addIssue({ code: 'custom', message: fault });
      })
      .default({})
      .meta({
        type: 'object',
        additionalProperties: {},
        description: `Parameters of the operation. Numbers keep all their digits. At most ${MAX_PARAMS} members and ${MAX_PARAMS_BYTES} bytes of JSON.`,
      }),
    async: z.boolean().default(false),
    semantics: z.enum(['snapshot', 'live']).default('snapshot'),
    all: z.boolean().default(false).meta({ description: 'Confirms a filter that matches every record.' }),
    dry_run: z
      .boolean()
      .default(false)
      .meta({ description: 'Counts the items and returns a sample. Creates no job.' }),
    max_failures: z
      .int()
      .min(1)
      .max(2 ** 31 - 1)
      .optional()
      .meta({
        description:
          'Fails the job once this many items have failed. Chunks already claimed still finish, so up to max(max_failures, 20) more items per worker may run.',
      }),
  });
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return (
    typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof ExactNumber)
  );
}

function paramsFault(params: Readonly<Record<string, unknown>>): string | undefined {
  if (Object.keys(params).length > MAX_PARAMS) return `may have at most ${MAX_PARAMS} members`;
  return Buffer.byteLength(JSON.stringify(params)) > MAX_PARAMS_BYTES
    ? `may have at most ${MAX_PARAMS_BYTES} bytes of JSON`
    : undefined;
}

export type BulkBody = z.output<ReturnType<typeof bulkBodySchema>>;

/** Rules across fields. */
export function bulkBodyRules(body: Readonly<Record<string, unknown>>): FieldError[] {
  const errors: FieldError[] = [];
  const given = ['ids', 'filter', 'file_id'].filter((name) => body[name] !== undefined);
  if (given.length !== 1) {
    const pointer = given.length === 0 ? '/ids' : `/${given[1]}`;
    errors.push({ pointer, detail: 'select the items with exactly one of ids, filter and file_id' });
  }
  if (body.semantics === 'live' && body.filter === undefined) {
    errors.push({ pointer: '/semantics', detail: 'live needs a filter' });
  }
  if (body.file_id !== undefined && body.async !== true && body.dry_run !== true) {
    errors.push({ pointer: '/async', detail: 'a file of IDs needs async: true' });
  }
  if (body.max_failures !== undefined && body.async !== true) {
    errors.push({ pointer: '/max_failures', detail: 'needs async: true' });
  }
  return errors;
}

/** A request whose parts all fit the catalog and the table. */
export interface CheckedRequest {
  readonly resource: Resource;
  readonly operation: BulkOperation;
  readonly table: BulkTable;
  readonly filter: FilterNode | undefined;
}

/** @throws AppError `invalid` with each part that does not fit */
export async function checkBulkRequest(
  body: BulkBody,
  catalog: Catalog,
  source: Pool,
  sourceId: string,
): Promise<CheckedRequest> {
  const resource = findResource(catalog, body.resource);
  if (resource === undefined) throw invalid([{ pointer: '/resource', detail: 'is not a resource' }]);
  const operation = findOperation(resource, body.operation);
  if (operation === undefined) {
    const names = Object.keys(resource.operations).join(', ') || 'none';
    const detail = `is not an operation of ${resource.name}; it has: ${names}`;
    throw invalid([{ pointer: '/operation', detail }]);
  }
  // Reports first what can be checked without the source.
  const filter = body.filter === undefined ? undefined : readFilter(body.filter, body.all);
  const table = await loadBulkTable(source, resource).catch((cause: unknown) => {
    if (!(cause instanceof CatalogBehindError)) throw cause;
    const message = `The table of ${resource.name} was just changed: try again in a moment.`;
    throw new AppError('unavailable', message, { retryAfterSeconds: BEHIND_RETRY_SECONDS, cause });
  });
  if (body.filter === undefined && !canBeNamed(table.key)) {
    const detail = `the key of ${resource.name} cannot be given as IDs; select the items with filter`;
    throw invalid([{ pointer: body.ids === undefined ? '/file_id' : '/ids', detail }]);
  }
  await checkParams(body.params, operation, table, source);
  if (filter !== undefined) await checkFilter(filter, table, source, sourceId);
  return { resource, operation, table, filter };
}
