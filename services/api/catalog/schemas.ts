import { z } from 'zod';
import { EXPORT_COMPRESSIONS, FILE_FORMATS } from '../../../shared/domain/export-request.ts';
import { count } from '../http/schema.ts';
import { FILTER_OPERATORS, FORMATS, JSON_TYPES } from './field-types.ts';

const value = {
  name: z.string(),
  type: z.string().meta({ description: 'The type in PostgreSQL, such as `numeric(10,2)`. For people.' }),
  json_type: z.enum(JSON_TYPES).meta({
    description:
      'The type in JSON. An integer may have more digits than a double. A number may also be `"NaN"`, `"Infinity"` or `"-Infinity"`.',
  }),
  format: z.enum(FORMATS).nullable().meta({
    description:
      'The form of a string. `date-time` has a zone, `local-date-time` has none, and both may be `infinity` or `-infinity`.',
  }),
  nullable: z.boolean(),
  values: z.array(z.string()).nullable().meta({
    description: 'All values of an enum, or of the elements of an array, in their order. Null: any.',
  }),
  max_length: count.nullable().meta({ description: 'Characters of a string. Null: unlimited.' }),
};

const fieldSchema = z
  .strictObject({
    ...value,
    is_key: z.boolean(),
    filters: z
      .array(z.enum(FILTER_OPERATORS))
      .meta({ description: 'Conditions that a filter of a bulk job may have on the field.' }),
  })
  .meta({ id: 'ResourceField' });

const operationSchema = z
  .strictObject({
    name: z.string(),
    kind: z.enum(['update', 'delete', 'handler']).meta({
      description:
        'update: sets fields. delete: deletes the record, softly if the resource has soft_delete. handler: calls a service.',
    }),
    params: z
      .array(z.strictObject(value))
      .meta({ description: 'Parameters. A request gives at least one of them, if there are any.' }),
    sets: z
      .array(
        z.strictObject({
          name: z.string(),
          value: z.union([z.string(), z.number(), z.boolean(), z.null()]),
        }),
      )
      .meta({ description: 'What an update sets besides its parameters. Hidden fields are left out.' }),
    takes_any_params: z
      .boolean()
      .meta({ description: 'The handler checks the parameters, which are not listed.' }),
  })
  .meta({ id: 'ResourceOperation' });

export const resourceSchema = z
  .strictObject({
    name: z.string(),
    key: z.array(z.string()).meta({ description: 'Fields that identify a record, in this order.' }),
    soft_delete: z.string().nullable().meta({
      description: 'The field that has the time of a soft deletion. Null: there is none, or it is not shown.',
    }),
    fields: z.array(fieldSchema).meta({ description: 'In the order of files and events.' }),
    related: z
      .array(z.string())
      .meta({ description: 'Resources that records of this one refer to, or are referred by.' }),
    exports: z.strictObject({
      formats: z.array(z.enum(FILE_FORMATS)),
      compressions: z.array(z.enum(EXPORT_COMPRESSIONS)).meta({ description: 'Of jsonl and csv.' }),
      include_deleted: z
        .boolean()
        .meta({ description: 'Whether there are soft-deleted records to include.' }),
      include_related: z
        .array(z.string())
        .meta({ description: 'Resources that `include_related` adds, over any number of steps.' }),
      changes_since: z.boolean(),
      as_of: z.boolean(),
      date_range: z.strictObject({
        default_field: z.string().nullable().meta({ description: 'Null: a request gives `field`.' }),
        fields: z.array(z.string()).meta({ description: 'Fields that `date_range.field` may name.' }),
      }),
    }),
    operations: z.array(operationSchema).meta({ description: 'What bulk jobs can do with records.' }),
    selectable_by_ids: z.boolean().meta({
      description: 'Whether a bulk job may select records by `ids` or a file. Else: by `filter`.',
    }),
    max_sync_items: count.meta({ description: 'Items of a request without `async`.' }),
    event_types: z.array(z.string()),
    unfit: z.strictObject({ code: z.string(), detail: z.string() }).nullable().meta({
      description:
        'Why exports and bulk jobs of the resource are refused: its table does not fit the catalog, and the operator must act. Null: they are not.',
    }),
    example: z.record(z.string(), z.unknown()).meta({
      description: 'A record made from the types of the fields, not from anybody’s data.',
    }),
  })
  .meta({ id: 'Resource' });

export const eventTypeSchema = z
  .strictObject({
    type: z.string(),
    pattern: z.string().meta({ description: 'Subscribes to all types of this group.' }),
    resource: z.string().nullable().meta({ description: 'The resource of record events, else null.' }),
    is_in_feed: z.boolean().meta({
      description: 'Whether `GET /events` lists such events. Others reach only webhook endpoints.',
    }),
    description: z.string().meta({ description: 'Markdown.' }),
    example: z.record(z.string(), z.unknown()).nullable().meta({
      description:
        'A body. Null: the fields are not known, because the source database does not respond or has no such table.',
    }),
  })
  .meta({ id: 'EventType' });

export type ShownField = z.input<typeof fieldSchema>;
export type ShownOperation = z.input<typeof operationSchema>;
export type ShownResource = z.input<typeof resourceSchema>;
export type ShownEventType = z.input<typeof eventTypeSchema>;

/** Of the documents: a small resource of this name. */
export function exampleResource(name: string, event: string): ShownResource {
  const id = { name: 'id', type: 'bigint', json_type: 'integer' as const, format: null, nullable: false };
  const status = {
    name: 'status',
    type: 'text',
    json_type: 'string' as const,
    format: null,
    nullable: false,
  };
  const any = { values: null, max_length: null };
  return {
    name,
    key: ['id'],
    soft_delete: 'deleted_at',
    fields: [
      { ...id, ...any, is_key: true, filters: ['eq', 'ne', 'in', 'gt', 'gte', 'lt', 'lte', 'is_null'] },
      {
        ...status,
        ...any,
        is_key: false,
        filters: ['eq', 'ne', 'in', 'gt', 'gte', 'lt', 'lte', 'prefix', 'is_null'],
      },
      {
        ...any,
        name: 'deleted_at',
        type: 'timestamp with time zone',
        json_type: 'string',
        format: 'date-time',
        nullable: true,
        is_key: false,
        filters: ['eq', 'ne', 'in', 'gt', 'gte', 'lt', 'lte', 'is_null'],
      },
    ],
    related: [],
    exports: {
      formats: [...FILE_FORMATS],
      compressions: [...EXPORT_COMPRESSIONS],
      include_deleted: true,
      include_related: [],
      changes_since: true,
      as_of: true,
      date_range: { default_field: null, fields: ['deleted_at'] },
    },
    operations: [
      { name: 'update', kind: 'update', params: [{ ...status, ...any }], sets: [], takes_any_params: false },
    ],
    selectable_by_ids: true,
    max_sync_items: 100,
    event_types: [`${event}.created`, `${event}.updated`, `${event}.deleted`],
    unfit: null,
    example: { id: 1_001, status: 'text', deleted_at: null },
  };
}
