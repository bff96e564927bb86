import { z } from 'zod';
import { batchSchema, orderSchema } from './webhooks/webhook-request.ts';

/** The JSON that leaves, as schemas: the types of `present.ts` and the answers in the OpenAPI document. */

const moment = z.string().meta({ format: 'date-time' });
const count = z.int().min(0);

export const accountSchema = z
  .strictObject({
    id: z.string(),
    name: z.string(),
    source_id: z.string().meta({ description: 'Value of the account column in its PostgreSQL text form.' }),
    limits: z.strictObject({
      max_running_exports: z.int(),
      max_running_bulk_operations: z.int(),
      bulk_quota: z.strictObject({
        items: z
          .int()
          .nullable()
          .meta({ description: 'Items that may be processed per period. Null: unlimited.' }),
        period: z
          .union([
            z.enum(['month', 'week', 'day']),
            z.strictObject({ seconds: z.int(), starting_at: moment }),
          ])
          .meta({
            description: 'A calendar period in UTC, or periods of a fixed length counted from a start.',
          }),
      }),
    }),
    created_at: moment,
  })
  .meta({ id: 'Account' });

export const keySchema = z
  .strictObject({
    id: z.string(),
    account_id: z.string(),
    name: z.string().nullable(),
    scopes: z.array(z.string()),
    created_at: moment,
    revoked_at: moment.nullable(),
  })
  .meta({ id: 'Key' });

export const newKeySchema = keySchema
  .extend({ key: z.string().meta({ description: 'Shown only in this response.' }) })
  .meta({ id: 'NewKey' });

export const auditSchema = z
  .strictObject({
    id: z.string(),
    at: moment,
    account_id: z.string().nullable().meta({ description: 'Null: all accounts at once.' }),
    actor: z
      .string()
      .meta({ description: 'operator, the ID of a key, or link: a request with a presigned URL.' }),
    action: z.string(),
    subject_id: z.string(),
    details: z.record(z.string(), z.unknown()),
  })
  .meta({ id: 'AuditEntry' });

const archiveMemberSchema = z
  .strictObject({ name: z.string(), resource: z.string(), rows: count, bytes: count, sha256: z.string() })
  .meta({ id: 'ArchiveMember' });

export const exportFileSchema = z
  .strictObject({
    name: z.string(),
    resource: z.string().nullable().meta({ description: 'Null: archive of all resources.' }),
    rows: count,
    bytes: count,
    sha256: z.string(),
    content_url: z.string().meta({ description: 'Requires the key. Redirects to a new presigned URL.' }),
    url: z.string().meta({ description: 'Presigned URL. Requires no key. Valid until url_expires_at.' }),
    url_expires_at: moment,
    members: z.array(archiveMemberSchema).optional().meta({ description: 'Files of the archive.' }),
  })
  .meta({ id: 'ExportFile' });

export const exportSchema = z
  .strictObject({
    id: z.string(),
    account_id: z.string().nullable().meta({ description: 'Null: all accounts at once.' }),
    status: z.enum(['pending', 'running', 'cancelling', 'completed', 'failed', 'cancelled', 'expired']),
    phase: z.enum(['queued', 'waiting_for_feed', 'extracting', 'assembling', 'done']),
    resources: z.array(z.string()),
    format: z.string(),
    compression: z.string(),
    archive: z.string().nullable(),
    csv_safe: z.boolean(),
    include_deleted: z.boolean(),
    include_related: z.boolean(),
    date_range: z.strictObject({ from: moment, to: moment, field: z.string().nullable() }).nullable(),
    fields: z.array(z.string()).nullable(),
    changes_since: z.string().nullable(),
    as_of: moment
      .nullable()
      .meta({ description: 'Time of the exported state. Null: the time of the snapshot.' }),
    max_rows_per_second: count.nullable().meta({ description: 'Null: unlimited.' }),
    rows: z.strictObject({ estimated: count.nullable(), extracted: count, written: count }),
    progress: z.number().min(0).max(1),
    eta_seconds: count.nullable().meta({ description: 'Null until a rate is known.' }),
    queue_position: count
      .optional()
      .meta({ description: 'Position in the queue of the account while pending: 1 starts next.' }),
    created_at: moment,
    started_at: moment.nullable(),
    completed_at: moment.nullable(),
    expires_at: moment.nullable(),
    snapshot: z
      .strictObject({
        taken_at: z.string(),
        lsn: z.string(),
        xmin: z.string(),
        xmax: z.string(),
        xip: z.array(z.string()),
      })
      .nullable(),
    files: z.array(exportFileSchema).meta({ description: 'Only a completed export has files.' }),
    manifest_url: z.string().nullable(),
    error: z.strictObject({ code: z.string(), message: z.string() }).optional(),
  })
  .meta({ id: 'Export' });

export const estimateSchema = z
  .strictObject({
    dry_run: z.literal(true),
    resources: z.array(z.string()),
    estimated_rows: count.nullable(),
    estimated_bytes: count.nullable(),
    estimated_duration_seconds: count.nullable(),
  })
  .meta({ id: 'ExportEstimate' });

export const webhookSchema = z
  .strictObject({
    id: z.string(),
    account_id: z.string(),
    url: z.string(),
    events: z.array(z.string()),
    description: z.string().nullable(),
    headers: z.record(z.string(), z.string()),
    max_in_flight: z.int(),
    rate_limit: z.int().nullable().meta({ description: 'Requests per second.' }),
    batch: batchSchema,
    order: orderSchema,
    held_by: z.string().nullable().meta({
      description: 'With order strict: ID of the failed event that is retried. All later events wait for it.',
    }),
    status: z.enum(['active', 'paused', 'disabled']),
    status_reason: z.string().nullable(),
    start: z.unknown(),
    position: z.string().meta({ description: 'All events up to this position are delivered or given up.' }),
    failures_in_row: count,
    failing_since: moment.nullable(),
    resting_until: moment.nullable(),
    secret_count: count.meta({ description: 'Number of secrets that sign. More than one after a rotation.' }),
    created_at: moment,
    updated_at: moment,
  })
  .meta({ id: 'Webhook' });

export const webhookWithSecretSchema = webhookSchema
  .extend({ secret: z.string().meta({ description: 'The secret (whsec_…). Shown only in this response.' }) })
  .meta({ id: 'WebhookWithSecret' });

export const attemptSchema = z
  .strictObject({
    id: z.string(),
    event_id: z.string().meta({ description: 'ID of the event, or of the first event of the batch.' }),
    batch: z
      .strictObject({ id: z.string(), event_count: count, last_event_id: z.string() })
      .nullable()
      .meta({ description: 'Null: the request held one event.' }),
    attempt: z.int(),
    started_at: moment,
    duration_ms: count,
    status: z.int().nullable(),
    outcome: z.string(),
    excerpt: z.string().nullable(),
  })
  .meta({ id: 'Attempt' });

export const webhookTestSchema = z
  .strictObject({
    event_id: z.string(),
    webhook_id: z.string(),
    started_at: moment.optional(),
    duration_ms: count.optional(),
    status: z
      .int()
      .nullable()
      .optional()
      .meta({ description: 'HTTP status of the response. Null without a response.' }),
    outcome: z.string().meta({ description: 'delivered, failed, an error class, or under_way.' }),
    excerpt: z.string().nullable().optional(),
  })
  .meta({ id: 'WebhookTest' });

export const deadLetterSchema = z
  .strictObject({
    event_id: z.string(),
    type: z.string().nullable().meta({ description: 'Null once the event is no longer retained.' }),
    position: z.string(),
    record: z.string().meta({ description: 'The record of the event: <resource>/<key>.' }),
    attempts: count,
    last_attempt_at: moment.nullable(),
    status: z
      .int()
      .nullable()
      .meta({ description: 'HTTP status of the last response. Null without a response.' }),
    outcome: z.string().meta({ description: 'failed, or an error class.' }),
    excerpt: z.string().nullable(),
  })
  .meta({ id: 'DeadLetter' });

export const redeliverySchema = z
  .strictObject({
    event_id: z.string(),
    webhook_id: z.string(),
    state: z.enum(['queued', 'upcoming']),
  })
  .meta({ id: 'Redelivery' });

export const eventSchema = z
  .looseObject({
    id: z.string(),
    type: z.string(),
    timestamp: moment,
    account_id: z.string(),
    position: z.string().nullable().meta({
      description:
        'Position in the feed. Null for account events, which are not part of the feed: export.*, bulk.*, webhook.*.',
    }),
    resource: z.string(),
    key: z.unknown(),
    data: z.unknown(),
  })
  .meta({ id: 'Event' });

export function listOf<Item extends z.ZodType>(item: Item) {
  return z.strictObject({
    data: z.array(item),
    has_more: z.boolean(),
    next_cursor: z.string().nullable(),
  });
}

export const problemSchema = z
  .looseObject({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.string(),
    errors: z.array(z.strictObject({ pointer: z.string(), detail: z.string() })).optional(),
    request_id: z.string(),
  })
  .meta({ id: 'Problem' });
