import { z } from 'zod';
import { PATH_TYPES, type PublicField } from '../domain/public-field.ts';

/** Names that become part of topics, URLs and event types. */
const API_NAME = /^[a-z][a-z0-9_]{0,62}$/;
const API_NAME_RULE = 'must start with a letter and hold only a-z, 0-9 and _ (63 characters at most)';

const DEFAULT_SYNC_LIMIT = 100;
const MAX_SYNC_LIMIT = 10_000;
const DEFAULT_HTTP_TIMEOUT_MS = 5_000;

const ACCOUNT_RULE =
  'must be the name of a column, or {via: invoice_id} with a column that refers to another resource';
const BY_TYPE_RULE =
  'a path to several kinds of parents is {via: owner_id, by: owner_type, to: {Invoice: invoices, Customer: customers}}, with one hop';

export const apiName = z.string({ error: 'must be a name' }).regex(API_NAME, API_NAME_RULE);

const columnName = z
  .string({ error: 'must be the name of a column' })
  .min(1, 'must be the name of a column')
  .max(63, 'PostgreSQL names have 63 bytes at most');

const columnNames = z.array(columnName, { error: 'must be a list of columns, like [id]' }).max(100);

/** As many as a table can have: an allow list names each column that leaves. */
const MAX_COLUMNS = 1_600;

const exposedColumns = z
  .array(columnName, { error: 'must be a list of columns, like [id, name]' })
  .min(1, 'must name at least one column')
  .max(MAX_COLUMNS);

/** What a column can be set to. Text, a number or `null`; a number too wide for JavaScript must be quoted. */
const columnValue = z
  .union([z.string(), z.number(), z.boolean(), z.null()], {
    error: 'must be a string, a number, true, false or null',
  })
  .refine((value) => typeof value !== 'number' || !Number.isInteger(value) || Number.isSafeInteger(value), {
    error: 'is too wide for a number: put it in quotes',
  });

const columnValues = z
  .record(columnName, columnValue, { error: 'must map columns to values, like { status: void }' })
  .refine((values) => Object.keys(values).length > 0, { error: 'names no column' });

const FIELD_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,62}$/;

/** Words of a filter, which a field of that name would be taken for. */
const FILTER_WORDS: readonly string[] = ['and', 'or'];

const fieldName = z
  .string()
  .regex(
    FIELD_NAME,
    'a field starts with a letter or _ and holds only letters, digits and _ (63 characters at most)',
  )
  .refine(
    (name) => !FILTER_WORDS.includes(name),
    'and and or have a meaning in filters: name the field otherwise',
  );

const publicValue = z.union(
  [z.string(), z.int('must be a whole number; put any other number in quotes'), z.boolean()],
  { error: 'must be a string, a whole number, true or false' },
);

const MAX_MAPPED_VALUES = 1_000;
/** Deeper than a product's documents are. */
const MAX_PATH = 20;

const isOfOneType = (values: readonly unknown[]) => new Set(values.map((value) => typeof value)).size <= 1;

const FIELD_RULE =
  'must be a column, or {column: state, map: {0: draft}}, or {column: data, path: [city]}, or {value: EUR}';

/** A column's name stands for `{column: …}`. */
const publicField = z.preprocess(
  (given) => (typeof given === 'string' ? { column: given } : given),
  z
    .strictObject(
      {
        column: columnName.optional(),
        map: z
          .record(z.string().max(1_000), publicValue, {
            error: 'must map values to values, like { 0: draft }',
          })
          .refine((map) => Object.keys(map).length > 0, { error: 'maps no value' })
          .refine((map) => Object.keys(map).length <= MAX_MAPPED_VALUES, {
            error: `maps more than ${MAX_MAPPED_VALUES} values`,
          })
          .refine((map) => isOfOneType(Object.values(map)), {
            error: 'must have values of one type: all strings, all whole numbers, or all true or false',
          })
          .optional(),
        otherwise: publicValue.optional(),
        path: z
          .array(z.string({ error: 'must be the name of a member, in quotes where it is a number' }), {
            error: 'must be a list of members, like [address, city]',
          })
          .min(1, 'names no member')
          .max(MAX_PATH, `may have at most ${MAX_PATH} steps`)
          .optional(),
        type: z.enum(PATH_TYPES, { error: `must be ${PATH_TYPES.join(' or ')}` }).optional(),
        value: publicValue.optional(),
      },
      { error: FIELD_RULE },
    )
    .refine(({ column, value }) => (column === undefined) !== (value === undefined), { error: FIELD_RULE })
    .refine(({ map, path, value }) => [map, path, value].filter((one) => one !== undefined).length <= 1, {
      error: 'has at most one of map, path and value',
    })
    .refine(({ otherwise, map }) => otherwise === undefined || map !== undefined, {
      path: ['otherwise'],
      error: 'is for a field with a map',
    })
    .refine(({ type, path }) => type === undefined || path !== undefined, {
      path: ['type'],
      error: 'is for a field with a path',
    })
    .refine(
      ({ map = {}, otherwise }) =>
        otherwise === undefined || isOfOneType([...Object.values(map).slice(0, 1), otherwise]),
      { path: ['otherwise'], error: 'must be of the type of the values in map' },
    )
    .refine(
      ({ map = {}, otherwise }) =>
        otherwise !== undefined || Object.values(map).every((value) => typeof value === 'string'),
      {
        path: ['map'],
        error:
          'needs otherwise, the value for all that it does not name: only a map to strings publishes these as they are',
      },
    ),
);

export type FieldEntry = z.infer<typeof publicField>;

const publicFields = z
  .record(fieldName, publicField, {
    error: 'must map public names to columns, like { id: id, status: state }',
  })
  .refine((fields) => Object.keys(fields).length > 0, { error: 'names no field' })
  .refine((fields) => Object.keys(fields).length <= MAX_COLUMNS, {
    error: `has more than ${MAX_COLUMNS} fields`,
  });

const httpTarget = z.strictObject({
  url: z.url({ protocol: /^https?$/, error: 'must be a http:// or https:// URL' }),
  timeout_ms: z
    .int({ error: 'must be whole milliseconds' })
    .min(100, 'must be at least 100 ms')
    .max(60_000, 'must be at most 60,000 ms')
    .default(DEFAULT_HTTP_TIMEOUT_MS),
});

/** In place of a column's name: everybody has all records. A column that is called so can't be an account column. */
export const SHARED_WORD = 'shared';

/** More hops than a product's schema has. */
const MAX_HOPS = 8;

/** Each kind of parent is a join of every statement. */
const MAX_TYPES = 50;
const MAX_TYPE_CHARACTERS = 200;

/** The columns of one hop; several for a key of several columns. */
const viaHop = z.union([columnName, columnNames.min(1, 'names no column')], { error: ACCOUNT_RULE });

const accountRule = z.union(
  [
    z.string().min(1),
    z
      .strictObject({
        via: z.union([columnName, z.array(viaHop).min(1).max(MAX_HOPS)]),
        by: columnName.optional(),
        to: z.union([z.string(), z.record(z.string(), z.string())]).optional(),
      })
      .refine(
        ({ via, by, to }) => {
          if (by === undefined && typeof to !== 'object') return true;
          const types = typeof to === 'object' ? Object.keys(to) : [];
          const isOneHop = typeof via === 'string' || via.length === 1;
          const isShort = types.every((type) => type !== '' && type.length <= MAX_TYPE_CHARACTERS);
          return by !== undefined && types.length > 0 && types.length <= MAX_TYPES && isOneHop && isShort;
        },
        { error: BY_TYPE_RULE },
      ),
  ],
  {
    error: ({ input }) => {
      const { via } = (typeof input === 'object' && input !== null ? input : {}) as { via?: unknown };
      return typeof via === 'object' && !Array.isArray(via) ? BY_TYPE_RULE : ACCOUNT_RULE;
    },
  },
);

/** One bulk operation: either columns to set, or the delete of the record, or a POST per item. */
export const operationSchema = z
  .strictObject({
    set: columnValues.optional(),
    set_from_params: columnNames.min(1, 'names no column').optional(),
    skip_when: columnValues.optional(),
    soft: z.boolean({ error: 'must be true or false' }).optional(),
    http: httpTarget.optional(),
  })
  .refine(
    ({ set, set_from_params: fromParams, soft, http }) =>
      [set !== undefined || fromParams !== undefined, soft !== undefined, http !== undefined].filter(Boolean)
        .length === 1,
    { error: 'must do exactly one thing: set columns (set, set_from_params), delete (soft) or call (http)' },
  );

export const resourceSchema = z.strictObject({
  table: z.string({ error: 'must be a table with its schema, like public.invoices' }),
  event: apiName,
  key: columnNames.min(1, 'must name at least one column'),
  account: accountRule,
  range: columnName.optional(),
  soft_delete: columnName.optional(),
  expose: exposedColumns.optional(),
  hide: columnNames.default([]),
  fields: publicFields.optional(),
  where: z
    .record(z.string(), z.unknown(), {
      error: 'must map columns to conditions, like { status: { ne: draft } }',
    })
    .optional(),
  as_of: z.boolean({ error: 'must be true or false' }).optional(),
  related: z.array(z.string(), { error: 'must be a list of resources' }).max(100).default([]),
  operations: z.record(apiName, operationSchema, { error: 'must map names to operations' }).default({}),
  sync_limit: z
    .int({ error: 'must be a whole number' })
    .min(1, 'must be at least 1')
    .max(MAX_SYNC_LIMIT, `must be at most ${MAX_SYNC_LIMIT}`)
    .default(DEFAULT_SYNC_LIMIT),
});

export type ResourceEntry = z.infer<typeof resourceSchema>;

/** As many tables as large products have. Each has a topic with a partition at least. */
export const MAX_RESOURCES = 1_000;

/** The outer form only. Each resource is parsed by itself, so that one wrong field hides no other resource's problems. */
export const catalogSchema = z.strictObject(
  {
    catalog: apiName,
    resources: z
      .record(z.string(), z.unknown(), { error: 'must map names to resources' })
      .refine((resources) => Object.keys(resources).length > 0, { error: 'names no resource' })
      .refine((resources) => Object.keys(resources).length <= MAX_RESOURCES, {
        error: `holds more than ${MAX_RESOURCES} resources`,
      }),
  },
  { error: 'must have the fields catalog and resources' },
);

/** A field of the catalog's file as the rest of Tandem has it. */
export function toPublicField([name, entry]: readonly [name: string, entry: FieldEntry]): PublicField {
  const { column = '', map, otherwise, path, type, value } = entry;
  if (value !== undefined) return { name, value };
  if (path !== undefined) return { name, column, path, type: type ?? 'json' };
  if (map === undefined) return { name, column };
  return { name, column, map, ...(otherwise === undefined ? {} : { otherwise }) };
}
