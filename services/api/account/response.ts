import { z } from 'zod';
import { quotaPeriodSchema } from '../admin/account-schemas.ts';
import { feedSchema } from '../events/feed-routes.ts';
import { EXAMPLE } from '../http/example-values.ts';
import { count, timestamp } from '../http/schema.ts';
import { type ActiveBulkRow, type ActiveExportRow, MAX_SHOWN_JOBS } from './store.ts';

const jobSchema = z.strictObject({
  id: z.string(),
  status: z.string(),
  queue_position: count.optional().meta({
    description: 'Position in the queue of the account: 1 starts next. Absent for a job that has its turn.',
  }),
  created_at: timestamp,
});

const exportJobSchema = jobSchema.extend({
  resources: z.array(z.string()),
  format: z.string().meta({ description: 'digest: a check of a replica.' }),
});

const bulkJobSchema = jobSchema.extend({
  resource: z.string(),
  operation: z.string(),
  processed: count,
  total: count.meta({ description: 'An estimate until the items are listed.' }),
});

const jobsOf = <Job extends z.ZodType>(job: Job) =>
  z.array(job).meta({ description: `Running jobs, then the queue in its order, ${MAX_SHOWN_JOBS} at most.` });

const lacks = (scope: string) => ({ description: `Null: the key lacks the scope ${scope}.` });

export const accountOverviewSchema = z
  .strictObject({
    id: z.string(),
    name: z.string(),
    created_at: timestamp,
    key: z
      .strictObject({ id: z.string(), name: z.string().nullable(), scopes: z.array(z.string()) })
      .nullable()
      .meta({ description: 'The key of this request. Null: the key of the operator.' }),
    limits: z.strictObject({
      max_running_exports: count,
      max_queued_exports: count,
      max_running_bulk_operations: count.meta({ description: 'Running and paused bulk jobs.' }),
      max_queued_bulk_operations: count,
      max_bulk_ids: count.meta({ description: 'IDs in one request. A file of IDs may hold more.' }),
      max_bulk_file_bytes: count,
      max_webhooks: count,
      max_body_bytes: count,
      requests_per_second: count.meta({ description: 'Of the account.' }),
      requests_per_minute: count
        .nullable()
        .meta({ description: 'Of each key, without downloads. Null: unlimited.' }),
      max_open_requests: count,
      max_downloads: count.meta({ description: 'Files that are sent at once.' }),
      event_retention_days: count.meta({ description: 'How long events can be read and replayed.' }),
    }),
    bulk_quota: z
      .strictObject({
        limit: count.nullable().meta({ description: 'Items per period. Null: unlimited.' }),
        used: count,
        remaining: count.nullable(),
        resets_at: timestamp,
        period: quotaPeriodSchema,
      })
      .nullable()
      .meta({
        description:
          'Items of bulk jobs and synchronous operations in the present period. Null: the key lacks the scope bulk:read.',
      }),
    exports: z
      .strictObject({ running: count, queued: count, paused: count, jobs: jobsOf(exportJobSchema) })
      .nullable()
      .meta(lacks('exports:read')),
    bulk_operations: z
      .strictObject({ running: count, queued: count, paused: count, jobs: jobsOf(bulkJobSchema) })
      .nullable()
      .meta(lacks('bulk:read')),
    webhooks: z
      .strictObject({ active: count, paused: count, disabled: count })
      .nullable()
      .meta(lacks('webhooks:read')),
    feed: feedSchema
      .extend({
        position: z
          .string()
          .nullable()
          .meta({ description: 'Position of the newest event of the account. Null: there is none.' }),
        age_seconds: z.number().min(0).nullable().meta({
          description:
            'Seconds since the feed last moved, about ten at most on an idle source. Null: it has not started.',
        }),
      })
      .nullable()
      .meta(lacks('events:read')),
  })
  .meta({ id: 'AccountOverview' });

export const EXAMPLE_OVERVIEW: z.input<typeof accountOverviewSchema> = {
  id: EXAMPLE.account,
  name: 'Acme',
  created_at: EXAMPLE.at,
  key: { id: EXAMPLE.key, name: 'Warehouse', scopes: ['exports:read', 'bulk:read', 'events:read'] },
  limits: {
    max_running_exports: 3,
    max_queued_exports: 20,
    max_running_bulk_operations: 3,
    max_queued_bulk_operations: 100,
    max_bulk_ids: 10_000,
    max_bulk_file_bytes: 268_435_456,
    max_webhooks: 50,
    max_body_bytes: 262_144,
    requests_per_second: 300,
    requests_per_minute: 6_000,
    max_open_requests: 50,
    max_downloads: 16,
    event_retention_days: 30,
  },
  bulk_quota: {
    limit: 50_000,
    used: 1_200,
    remaining: 48_800,
    resets_at: '2026-04-01T00:00:00.000Z',
    period: 'month',
  },
  exports: {
    running: 0,
    queued: 1,
    paused: 0,
    jobs: [
      {
        id: EXAMPLE.export,
        status: 'pending',
        queue_position: 1,
        created_at: EXAMPLE.at,
        resources: ['invoices'],
        format: 'jsonl',
      },
    ],
  },
  bulk_operations: { running: 0, queued: 0, paused: 0, jobs: [] },
  webhooks: null,
  feed: { position: EXAMPLE.position, age_seconds: 0.4, stalled: null, set_aside: [] },
};

export function presentExportJob(row: ActiveExportRow): z.input<typeof exportJobSchema> {
  const { resources, format } = row;
  return { ...presentJob(row), resources, format };
}

export function presentBulkJob(row: ActiveBulkRow): z.input<typeof bulkJobSchema> {
  const { resource, operation, processed, total } = row;
  return { ...presentJob(row), resource, operation, processed, total };
}

function presentJob(row: ActiveExportRow | ActiveBulkRow): z.input<typeof jobSchema> {
  const { id, status, queue_position: position, created_at } = row;
  return {
    id,
    status,
    ...(position === null ? {} : { queue_position: position }),
    created_at: created_at.toISOString(),
  };
}
