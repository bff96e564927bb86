import { z } from 'zod';
import { batchSchema, orderSchema } from './requests/webhook-request.ts';

/** The JSON that leaves, as schemas: the types of `present.ts` and the answers in the OpenAPI document. */

const moment = z.string().meta({ format: 'date-time' });
const count = z.int().min(0);

export const accountSchema = z
  .strictObject({
    id: z.string(),
    name: z.string(),
    source_id: z.string().meta({ description: "The account column's value, as PostgreSQL writes it." }),
    limits: z.strictObject({
      max_running_exports: z.int(),
      max_running_bulk_operations: z.int(),
      bulk_quota: z.strictObject({
        items: z
          .int()
          .nullable()
          .meta({ description: 'That may be processed in a period; null: any number.' }),
        period: z
          .union([
            z.enum(['month', 'week', 'day']),
            z.strictObject({ seconds: z.int(), starting_at: moment }),
          ])
          .meta({ description: 'Of the calendar in UTC, or so many seconds each, counted from a moment.' }),
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
  .extend({ key: z.string().meta({ description: 'Shown once.' }) })
  .meta({ id: 'NewKey' });

export const auditSchema = z
  .strictObject({
    id: z.string(),
    at: moment,
    account_id: z.string().nullable().meta({ description: 'Null: all accounts at once.' }),
    actor: z.string().meta({ description: 'operator, the ID of a key, or link: whoever had the URL.' }),
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
    resource: z.string().nullable().meta({ description: 'Null: an archive of all resources.' }),
    rows: count,
    bytes: count,
    sha256: z.string(),
    content_url: z.string().meta({ description: 'Needs the key; redirects to a fresh presigned URL.' }),
    url: z.string().meta({ description: 'Presigned: needs no key, and works until url_expires_at.' }),
    url_expires_at: moment,
    members: z.array(archiveMemberSchema).optional().meta({ description: 'What is in an archive.' }),
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
    as_of: moment.nullable().meta({ description: 'The past moment that it is of; null: the present.' }),
    max_rows_per_second: count.nullable().meta({ description: 'Null: as fast as they come.' }),
    rows: z.strictObject({ estimated: count.nullable(), extracted: count, written: count }),
    progress: z.number().min(0).max(1),
    eta_seconds: count.nullable().meta({ description: 'Null until there is something to go on.' }),
    queue_position: count.optional().meta({ description: 'While pending: 1 is the next of this account.' }),
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
    rate_limit: z.int().nullable().meta({ description: 'Requests a second.' }),
    batch: batchSchema,
    order: orderSchema,
    held_by: z.string().nullable().meta({
      description:
        'With order strict: the event that has failed and is retried, behind which all others wait.',
    }),
    status: z.enum(['active', 'paused', 'disabled']),
    status_reason: z.string().nullable(),
    start: z.unknown(),
    position: z.string().meta({ description: 'Every event up to here is done.' }),
    failures_in_row: count,
    failing_since: moment.nullable(),
    resting_until: moment.nullable(),
    secret_count: count.meta({ description: 'More than one while an old secret still signs.' }),
    created_at: moment,
    updated_at: moment,
  })
  .meta({ id: 'Webhook' });

export const webhookWithSecretSchema = webhookSchema
  .extend({ secret: z.string().meta({ description: 'whsec_…, shown once.' }) })
  .meta({ id: 'WebhookWithSecret' });

export const attemptSchema = z
  .strictObject({
    id: z.string(),
    event_id: z.string().meta({ description: 'Of the event, or of the first of a batch.' }),
    batch: z
      .strictObject({ id: z.string(), event_count: count, last_event_id: z.string() })
      .nullable()
      .meta({ description: 'Null when the event was sent by itself.' }),
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
    status: z.int().nullable().optional().meta({ description: 'Null when there was no answer.' }),
    outcome: z.string().meta({ description: 'delivered, failed, the class of an error, or under_way.' }),
    excerpt: z.string().nullable().optional(),
  })
  .meta({ id: 'WebhookTest' });

export const deadLetterSchema = z
  .strictObject({
    event_id: z.string(),
    type: z.string().nullable().meta({ description: 'Null when the event is no longer kept.' }),
    position: z.string(),
    record: z.string().meta({ description: '<resource>/<key>: what the event is about.' }),
    attempts: count,
    last_attempt_at: moment.nullable(),
    status: z.int().nullable().meta({ description: 'Of the last answer; null when there was none.' }),
    outcome: z.string().meta({ description: 'failed, or the class of the error.' }),
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
    position: z
      .string()
      .nullable()
      .meta({ description: 'Null for what is told beside the feed: export.*, bulk.*, webhook.*.' }),
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
