import { z } from 'zod';
import type { Catalog, Resource } from '../../../shared/domain/catalog.ts';
import { publicKey } from '../../../shared/domain/public-names.ts';
import { EXAMPLE } from '../http/example-values.ts';
import { count, timestamp } from '../http/schema.ts';

const EVENT = {
  id: z.string().meta({ description: 'ID of the event: the same in each delivery, replay and page.' }),
  type: z.string().meta({ description: 'Such as invoice.created. A later version may add types.' }),
  timestamp: timestamp.meta({ description: 'Commit time of the change.' }),
  account_id: z.string(),
};

const position = z.string().meta({ description: 'Position in the feed. Positions grow in commit order.' });

const transaction = z
  .looseObject({ id: z.string(), index: z.int().min(0) })
  .meta({ description: 'The transaction of the change in the source, and the place of the change in it.' });

const names = z.array(z.string());

/** Any event: what every event has. */
export const eventSchema = z
  .looseObject({
    ...EVENT,
    position: position.nullable().meta({
      description:
        'Position in the feed. Null for account events, which are not part of the feed: export.*, bulk.*, webhook.*.',
    }),
    resource: z.string(),
    key: z.unknown().meta({ description: 'Key columns of the record. Null for feed.reset.' }),
    data: z.unknown().meta({ description: 'The record, or what the event is about.' }),
  })
  .meta({ id: 'Event' });

/**
 * Events of one resource's records. Which columns a record has is known only from the source: they are those of
 * the export files.
 */
function recordEventSchema({ name, event, key }: Resource, id: string) {
  const column = z.unknown();
  return z
    .looseObject({
      ...EVENT,
      type: z.enum([`${event}.created`, `${event}.updated`, `${event}.deleted`]),
      position,
      resource: z.literal(name),
      key: z
        .looseObject(Object.fromEntries(key.map((part) => [part, column])))
        .meta({ description: 'Key columns of the record.' }),
      data: z.record(z.string(), z.unknown()).meta({
        description: 'The record after the change, or before its deletion: the same JSON as in export files.',
      }),
      previous: z
        .record(z.string(), z.unknown())
        .optional()
        .meta({ description: 'Earlier values of the columns that changed.' }),
      unchanged: names.optional().meta({
        description: 'Columns that data lacks because their large values did not change: keep yours.',
      }),
      unknown: names.optional().meta({ description: 'Columns that data lacks and nobody knows.' }),
      transaction,
      source: z
        .looseObject({ bulk_job_id: z.string() })
        .optional()
        .meta({ description: 'The bulk job that made the change.' }),
    })
    .meta({ id, description: `A change of a record of ${name}.` });
}

const feedResetSchema = z
  .looseObject({
    ...EVENT,
    type: z.literal('feed.reset'),
    position,
    resource: z.string(),
    key: z.null(),
    data: z.looseObject({
      reason: z.string().meta({ description: 'Why, such as table_truncated. New reasons may be added.' }),
      resources: names.meta({ description: 'Resources that need a new export.' }),
    }),
    transaction,
  })
  .meta({
    id: 'FeedResetEvent',
    description: 'Changes that no event reports, such as a truncated table: create a new export.',
  });

const error = z.looseObject({ code: z.string(), message: z.string() }).nullable();

function accountEvent<const Type extends readonly [string, ...string[]], Data extends z.ZodType>(
  id: string,
  types: Type,
  resource: string,
  data: Data,
) {
  return z
    .looseObject({
      ...EVENT,
      type: z.enum(types),
      position: z.null().meta({ description: 'Account events are not part of the feed.' }),
      resource: z.literal(resource),
      key: z.looseObject({ id: z.string() }),
      data,
    })
    .meta({ id });
}

const exportEventSchema = accountEvent(
  'ExportEvent',
  ['export.completed', 'export.failed', 'export.expiring'],
  'export',
  z.looseObject({
    id: z.string(),
    status: z.string(),
    resources: names,
    rows: count,
    error,
    created_at: timestamp,
    completed_at: timestamp.nullable(),
    expires_at: timestamp.nullable(),
  }),
);

const bulkEventSchema = accountEvent(
  'BulkEvent',
  ['bulk.completed', 'bulk.failed'],
  'bulk',
  z.looseObject({
    id: z.string(),
    status: z.string(),
    resource: z.string(),
    operation: z.string(),
    total: count.nullable(),
    succeeded: count,
    failed: count,
    skipped: count,
    error,
    created_at: timestamp,
    ended_at: timestamp.nullable(),
  }),
);

const webhookEventSchema = accountEvent(
  'WebhookEvent',
  ['webhook.disabled'],
  'webhook',
  z.looseObject({
    id: z.string(),
    url: z.string(),
    description: z.string().nullable(),
    status: z.string(),
    status_reason: z.string().nullable(),
    failing_since: timestamp.nullable(),
  }),
);

const webhookTestEventSchema = accountEvent(
  'WebhookTestEvent',
  ['webhook.test'],
  'webhook',
  z.looseObject({ id: z.string(), url: z.string(), events: names }),
);

const feedEventSchema = accountEvent(
  'FeedEvent',
  ['feed.stalled', 'feed.resumed'],
  'feed',
  z.looseObject({ reason: z.string(), stalled_at: timestamp }),
);

export const batchSchema = z
  .looseObject({
    id: z.string().meta({ description: 'Made from the IDs of its events: the same ID has the same events.' }),
    type: z.literal('batch'),
    events: z.array(eventSchema).meta({ description: 'Events of any types, in the order of the feed.' }),
  })
  .meta({ id: 'EventBatch' });

/** Every event type that a webhook endpoint may get, with the schema of its body. */
export function eventSchemas(catalog: Catalog): ReadonlyMap<string, z.ZodType> {
  const taken = new Set<string>();
  // Two spellings may have one name in Pascal case, and a component's name is there once.
  const newName = (name: string): string => {
    if (taken.has(name)) return newName(`${name}_`);
    taken.add(name);
    return name;
  };
  const schemas: [readonly string[], z.ZodType][] = [
    ...catalog.resources.map((resource): [readonly string[], z.ZodType] => {
      const schema = recordEventSchema(resource, newName(`${pascalCase(resource.event)}RecordEvent`));
      return [schema.shape.type.options, schema];
    }),
    [['feed.reset'], feedResetSchema],
    [feedEventSchema.shape.type.options, feedEventSchema],
    [exportEventSchema.shape.type.options, exportEventSchema],
    [bulkEventSchema.shape.type.options, bulkEventSchema],
    [webhookEventSchema.shape.type.options, webhookEventSchema],
    [webhookTestEventSchema.shape.type.options, webhookTestEventSchema],
  ];
  return new Map(schemas.flatMap(([types, schema]) => types.map((type) => [type, schema] as const)));
}

/** Of the document's examples: a change of the first resource. */
export function exampleEvent({ resources: [first] }: Catalog) {
  const key = Object.fromEntries(
    (first === undefined ? ['id'] : publicKey(first)).map((column) => [column, 1001]),
  );
  return {
    id: EXAMPLE.event,
    type: `${first?.event ?? 'record'}.updated`,
    timestamp: '2026-03-01T09:30:00.123456Z',
    account_id: EXAMPLE.account,
    position: EXAMPLE.position,
    resource: first?.name ?? 'records',
    key,
    data: { ...key, name: 'New' },
    previous: { name: 'Old' },
    transaction: { id: '7432', index: 0 },
  };
}

/** `line_item` → `LineItem`. */
function pascalCase(text: string): string {
  return text.replace(/(?:^|[^a-zA-Z0-9])+([a-zA-Z0-9])/g, (_, letter: string) => letter.toUpperCase());
}
