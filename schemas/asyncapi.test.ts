import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import avro from 'avsc';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import type { Catalog } from '../shared/domain/catalog.ts';
import { isMessageType } from '../shared/kafka/messages.ts';
import { topicsOf } from '../shared/kafka/topics.ts';
import { toKafkaHeaders } from '../shared/protocol/headers.ts';
import { changeSchema } from '../shared/values/change-schema.ts';

const ref = z.strictObject({ $ref: z.string() });
const kafkaChannel = z.strictObject({
  partitions: z.int(),
  topicConfiguration: z.strictObject({
    'cleanup.policy': z.array(z.enum(['delete', 'compact'])).length(1),
    'retention.ms': z.int().optional(),
  }),
});
const headers = z.strictObject({
  type: z.literal('object'),
  required: z.array(z.string()),
  properties: z.record(z.string(), z.looseObject({ type: z.literal('string') })),
});

/** AsyncAPI 3, as far as this document uses it, and nothing else: a word in the wrong place is an error. */
const form = z.strictObject({
  asyncapi: z.literal('3.0.0'),
  info: z.strictObject({ title: z.string(), version: z.string(), description: z.string() }),
  defaultContentType: z.string(),
  servers: z.record(z.string(), z.looseObject({ host: z.string(), protocol: z.literal('kafka') })),
  channels: z.record(
    z.string(),
    z.strictObject({
      address: z.string(),
      description: z.string(),
      parameters: z.record(z.string(), z.strictObject({ description: z.string() })).optional(),
      messages: z.record(z.string(), ref),
      bindings: z.strictObject({ kafka: kafkaChannel }),
    }),
  ),
  operations: z.record(
    z.string(),
    z.strictObject({ action: z.enum(['send', 'receive']), channel: ref, summary: z.string() }),
  ),
  components: z.strictObject({
    messages: z.record(
      z.string(),
      z.strictObject({
        name: z.string(),
        title: z.string(),
        contentType: z.literal('application/vnd.apache.avro'),
        headers: ref,
        payload: z.strictObject({
          schemaFormat: z.literal('application/vnd.apache.avro;version=1.9.0'),
          schema: ref,
        }),
        bindings: z.strictObject({
          kafka: z.strictObject({
            key: z.strictObject({ type: z.literal('string'), description: z.string() }),
            schemaIdLocation: z.literal('payload'),
            schemaIdPayloadEncoding: z.literal('confluent'),
          }),
        }),
      }),
    ),
    schemas: z.record(z.string(), z.unknown()),
  }),
});

const raw: unknown = parse(readFileSync(fileURLToPath(new URL('asyncapi.yaml', import.meta.url)), 'utf8'));
const document = form.parse(raw);
const { channels, components } = document;

/** What a reference leads to, in this document or in a file beside it. */
function follow(reference: string): unknown {
  if (!reference.startsWith('#/')) {
    return JSON.parse(readFileSync(fileURLToPath(new URL(reference, import.meta.url)), 'utf8'));
  }
  return reference
    .slice(2)
    .split('/')
    .reduce((value: unknown, name) => (value as Record<string, unknown> | undefined)?.[name], raw);
}

function referencesIn(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  if ('$ref' in value && typeof value.$ref === 'string') return [value.$ref];
  return Object.values(value).flatMap(referencesIn);
}

const CATALOG: Catalog = {
  name: 'test',
  resources: [
    {
      name: '{resource}',
      table: { schema: 'public', name: 'things' },
      event: 'thing',
      key: ['id'],
      account: 'account_id',
      range: undefined,
      softDelete: undefined,
      hide: [],
      related: [],
      operations: {},
      syncLimit: 1,
    },
  ],
};

test('every reference leads somewhere', () => {
  const references = referencesIn(raw);
  expect(references.length).toBeGreaterThan(40);
  expect(references.filter((reference) => follow(reference) === undefined)).toEqual([]);
});

test('the channels are the topics as they are declared', () => {
  const described = Object.values(channels).map(({ address, bindings: { kafka } }) => {
    const { 'cleanup.policy': policy, 'retention.ms': retentionMs } = kafka.topicConfiguration;
    return { name: address, partitions: kafka.partitions, cleanup: policy[0], retentionMs };
  });
  const declared = topicsOf('tandem', CATALOG).declarations.map(
    ({ minPartitions: _least, holdsRows: _rows, ...topic }) => ({
      ...topic,
      retentionMs: topic.cleanup === 'compact' ? undefined : topic.retentionMs,
    }),
  );
  const byName = (a: { name: string }, b: { name: string }) => a.name.localeCompare(b.name);
  expect(described.toSorted(byName)).toEqual(declared.toSorted(byName));
});

test('every message has its Avro schema, of its own name, and stands in the channel of its namespace', () => {
  for (const [name, message] of Object.entries(components.messages)) {
    expect(message.name).toBe(name);
    const schema = follow(message.payload.schema.$ref) as avro.Schema & { name: string; namespace?: string };
    expect(avro.Type.forSchema(structuredClone(schema)).typeName).toBe('record');
    expect(schema.name).toBe(name);
    const homes = Object.entries(channels).filter(([, channel]) => name in channel.messages);
    expect(homes).toHaveLength(1);
    if (isMessageType(name)) expect(schema.namespace).toBe(homes[0]?.[1].address);
  }
  const files = Object.keys(components.messages).filter((name) => !['Row', 'Change'].includes(name));
  expect(files.filter((name) => !isMessageType(name))).toEqual([]);
  expect(files).toHaveLength(13);
});

test('the headers of rows and the envelope of changes are those that are sent', () => {
  const row = { exportId: 'e', chunk: 0, attempt: 1, seq: 0, account: 'a', isLast: true, traceparent: 't' };
  const described = headers.parse(components.schemas.RowHeaders);
  expect(Object.keys(described.properties)).toEqual(Object.keys(toKafkaHeaders(row)));
  expect(described.required).toEqual(Object.keys(toKafkaHeaders({ ...row, isLast: false })));

  const envelope = components.schemas.ChangeEnvelope as { fields: { name: string; type: unknown }[] };
  const sent = changeSchema({ resource: 'things', columns: [] }, 'tandem');
  const shown = (fields: readonly { readonly name: string; readonly type: unknown }[]) =>
    fields.map(({ name, type }) => ({
      name,
      type: ['before', 'after'].includes(name) ? 'a row or null' : type,
    }));
  expect(shown(envelope.fields)).toEqual(shown(sent.fields));
});
