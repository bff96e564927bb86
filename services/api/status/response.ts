import { z } from 'zod';
import { EXAMPLE_SOURCE, sourceSchema } from '../admin/source-routes.ts';
import { EXAMPLE } from '../http/example-values.ts';
import { count, timestamp } from '../http/schema.ts';
import { BOTTLENECKS } from './bottleneck-codes.ts';

const seconds = z.number().min(0);

const processSchema = z
  .strictObject({
    id: z.string(),
    service: z.string(),
    version: z.string().nullable(),
    host: z.string().nullable(),
    pid: z.int().nullable(),
    started_at: timestamp,
    seen_at: timestamp,
    state: z.enum(['ready', 'starting', 'silent']).meta({
      description:
        'silent: it has not reported for 20 seconds, and was not ended in order. It is listed for a day.',
    }),
  })
  .meta({
    id: 'Process',
    description:
      'A process of a service. Capture that works without the control store is known by its session on the source, so it has no version and host.',
  });

const groupSchema = z
  .strictObject({
    group: z.string(),
    service: z.string(),
    state: z
      .string()
      .meta({ description: '`Stable`, `Empty` where no process of it runs, or another state of Kafka.' }),
    members: count,
    lag: count.meta({
      description: 'Records that the group has not read, by offsets: markers of transactions count too.',
    }),
    topics: z.array(
      z.strictObject({
        topic: z.string(),
        lag: count,
        partitions: z.array(
          z.strictObject({
            partition: count,
            lag: count
              .nullable()
              .meta({ description: 'Null: the group has committed no offset, and begins at the end.' }),
          }),
        ),
      }),
    ),
    topics_omitted: count.meta({ description: 'Further topics of the group, which are not read here.' }),
  })
  .meta({ id: 'ConsumerGroup' });

const queuesSchema = z
  .strictObject({
    exports: z.strictObject({
      queued: count,
      queued_by_limit: count.meta({ description: 'Of those, exports whose account runs as many as it may.' }),
      oldest_queued_seconds: seconds.nullable(),
      waiting_for_feed: count,
      extracting: count,
      assembling: count,
      paused: count,
    }),
    export_chunks: z.strictObject({
      waiting: count,
      reading: count,
      unwritten: count.meta({ description: 'Read, and not in a file yet.' }),
    }),
    bulk: z.strictObject({
      queued: count,
      queued_by_limit: count,
      oldest_queued_seconds: seconds.nullable(),
      running: count,
      paused: count.meta({ description: 'Paused by request.' }),
      paused_by_quota: count,
      paused_by_handler: count,
      paused_by_feed: count,
    }),
    bulk_chunks: z.strictObject({ waiting: count, working: count }),
    deliveries: z.strictObject({
      retrying: count,
      due: count.meta({ description: 'Of those, deliveries whose next attempt is due.' }),
      dead: count,
    }),
    endpoints: z.strictObject({ active: count, failing: count, paused: count, disabled: count }),
    outbox: z.strictObject({ waiting: count, oldest_seconds: seconds.nullable() }),
  })
  .meta({ id: 'Queues', description: 'What waits and what runs, of all accounts.' });

const heldSchema = z.strictObject({
  pid: z.int(),
  age_seconds: seconds,
  application: z.string(),
  state: z.string(),
  holds_vacuum: z.boolean().meta({
    description: 'It has a snapshot, so VACUUM keeps every row version that is younger.',
  }),
});

export const statusSchema = z
  .strictObject({
    at: timestamp.meta({ description: 'When it was read. A reading is kept for some seconds.' }),
    bottlenecks: z
      .array(
        z.strictObject({
          code: z.enum(BOTTLENECKS),
          detail: z.string(),
          value: z
            .number()
            .meta({ description: 'What is measured: a number, seconds or bytes, by the code.' }),
          subject: z.string().nullable(),
        }),
      )
      .meta({ description: 'What holds work up, the first cause first. Empty: nothing does.' }),
    processes: z.array(processSchema).nullable(),
    source: sourceSchema.nullable(),
    held_transactions: z.array(heldSchema).nullable().meta({
      description: 'Transactions that Tandem itself holds on the source, the oldest first.',
    }),
    held_xmin_age: count.nullable().meta({
      description: 'Transaction IDs given out since the oldest snapshot that Tandem holds on the source.',
    }),
    consumers: z.array(groupSchema).nullable().meta({
      description: 'Null without a response from Kafka. Read every ten seconds at most.',
    }),
    queues: queuesSchema.nullable(),
  })
  .meta({ id: 'Status', description: 'A part that cannot be read now is null.' });

export type Status = z.input<typeof statusSchema>;

export const EXAMPLE_STATUS: Status = {
  at: EXAMPLE.at,
  bottlenecks: [
    {
      code: 'receivers_failing',
      detail: 'Receivers fail: 1 webhook endpoint.',
      value: 1,
      subject: null,
    },
  ],
  processes: [
    {
      id: 'tandem-1:4242:9f86d081',
      service: 'api',
      version: '1.2.3',
      host: 'tandem-1',
      pid: 4_242,
      started_at: EXAMPLE.at,
      seen_at: EXAMPLE.later,
      state: 'ready',
    },
  ],
  source: EXAMPLE_SOURCE,
  held_transactions: [
    {
      pid: 977,
      age_seconds: 12.5,
      application: 'tandem extractor',
      state: 'idle in transaction',
      holds_vacuum: true,
    },
  ],
  held_xmin_age: 1_200,
  consumers: [
    {
      group: 'tandem.dispatcher',
      service: 'dispatcher',
      state: 'Stable',
      members: 1,
      lag: 41,
      topics: [{ topic: 'tandem.changes', lag: 41, partitions: [{ partition: 0, lag: 41 }] }],
      topics_omitted: 0,
    },
  ],
  queues: {
    exports: {
      queued: 0,
      queued_by_limit: 0,
      oldest_queued_seconds: null,
      waiting_for_feed: 0,
      extracting: 1,
      assembling: 0,
      paused: 0,
    },
    export_chunks: { waiting: 4, reading: 2, unwritten: 1 },
    bulk: {
      queued: 0,
      queued_by_limit: 0,
      oldest_queued_seconds: null,
      running: 1,
      paused: 0,
      paused_by_quota: 0,
      paused_by_handler: 0,
      paused_by_feed: 0,
    },
    bulk_chunks: { waiting: 3, working: 4 },
    deliveries: { retrying: 2, due: 0, dead: 1 },
    endpoints: { active: 3, failing: 1, paused: 0, disabled: 0 },
    outbox: { waiting: 0, oldest_seconds: null },
  },
};
