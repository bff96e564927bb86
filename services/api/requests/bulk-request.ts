import { z } from 'zod';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import type { FieldError } from '../../../shared/runtime/errors.ts';

/** More IDs than this come as a file. */
export const MAX_BODY_IDS = 10_000;

/** Room for as many IDs as a body may have, whatever their form. */
export const MAX_BULK_BODY_BYTES = 4 * 1_024 * 1_024;

const id = z.union([z.string().max(1_000), z.int()], { error: 'must be a text or a whole number' });

const itemId = z.union([id, z.array(id).min(1).max(32)], {
  error: 'must be an ID: a text, a whole number, or a list of them for a key of several columns',
});

/** The body of `POST /bulk/operations`, for the resources of this catalog. */
export function bulkBodySchema(catalog: Catalog) {
  const names = catalog.resources.map(({ name }) => name);
  return z.strictObject({
    resource: z.enum(names, { error: `must be a resource: ${names.join(', ')}` }),
    operation: z.string().min(1).max(100),
    ids: z
      .array(itemId)
      .min(1, 'names no item')
      .max(
        MAX_BODY_IDS,
        `may hold at most ${MAX_BODY_IDS} IDs: upload them to POST /bulk/files and send its file_id`,
      )
      .optional(),
    filter: z
      .record(z.string().max(200), z.unknown(), { error: 'must be an object of fields with conditions' })
      .optional()
      .meta({
        description:
          '{field: {eq, ne, in, gt, gte, lt, lte, is_null, prefix}}, and "and"/"or" with lists of filters.',
      }),
    file_id: z.string().max(100).optional(),
    params: z.record(z.string().max(200), z.unknown()).default({}).meta({
      description: 'Numbers reach columns and handlers digit for digit, however many digits they have.',
    }),
    async: z.boolean().default(false),
    semantics: z.enum(['snapshot', 'live']).default('snapshot'),
    all: z.boolean().default(false).meta({ description: 'Needed for a filter that matches everything.' }),
    dry_run: z.boolean().default(false).meta({ description: 'Count and sample only; no job is made.' }),
    max_failures: z
      .int()
      .min(1)
      .max(2 ** 31 - 1)
      .optional()
      .meta({
        description:
          'As many failed items end the job as failed. What is in hand at that moment is finished: of each worker at most as many items, or 20.',
      }),
  });
}

export type BulkBody = z.output<ReturnType<typeof bulkBodySchema>>;

/** What the schema of one field can't say. */
export function bulkBodyRules(body: Readonly<Record<string, unknown>>): FieldError[] {
  const errors: FieldError[] = [];
  const given = ['ids', 'filter', 'file_id'].filter((name) => body[name] !== undefined);
  if (given.length !== 1) {
    const pointer = given.length === 0 ? '/ids' : `/${given[1]}`;
    errors.push({ pointer, detail: 'choose the items by exactly one of ids, filter and file_id' });
  }
  if (body.semantics === 'live' && body.filter === undefined) {
    errors.push({ pointer: '/semantics', detail: 'live needs a filter to look at again' });
  }
  if (body.file_id !== undefined && body.async !== true && body.dry_run !== true) {
    errors.push({ pointer: '/async', detail: 'a file of IDs needs async: true' });
  }
  if (body.max_failures !== undefined && body.async !== true) {
    errors.push({ pointer: '/max_failures', detail: 'is for async: true' });
  }
  return errors;
}
