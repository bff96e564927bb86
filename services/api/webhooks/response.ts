import { z } from 'zod';
import { parseLsn } from '../../../shared/domain/lsn.ts';
import { eventId, formatPosition } from '../../../shared/domain/position.ts';
import { openHeaders, type SecretBox, type StoredHeaders } from '../../../shared/runtime/secret-box.ts';
import { type Caller, hasScope } from '../http/caller.ts';
import { count, secretFields, timestamp } from '../http/schema.ts';
import type { DeadRow } from './delivery-store.ts';
import { batchSchema, HIDDEN, orderSchema } from './request.ts';
import type { WebhookRow } from './store.ts';

export const webhookSchema = z
  .strictObject({
    id: z.string(),
    account_id: z.string(),
    url: z.string(),
    events: z.array(z.string()),
    description: z.string().nullable(),
    headers: z
      .record(z.string(), z.string())
      .meta({ description: `Values are ${HIDDEN} when the key lacks the scope webhooks:write.` }),
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
    failing_since: timestamp.nullable(),
    resting_until: timestamp.nullable(),
    secret_count: count.meta({ description: 'Number of secrets that sign. More than one after a rotation.' }),
    old_secret_valid_until: timestamp.nullable().meta({
      description: 'Until this time secrets from before the last rotation sign too. Null: there is none.',
    }),
    created_at: timestamp,
    updated_at: timestamp,
  })
  .meta({ id: 'Webhook' });

export const webhookWithSecretSchema = webhookSchema
  .extend(secretFields('secret', 'The secret (whsec_…). Shown only in this response.'))
  .meta({ id: 'WebhookWithSecret' });

export const webhookTestSchema = z
  .strictObject({
    event_id: z.string(),
    webhook_id: z.string(),
    started_at: timestamp.optional(),
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
    last_attempt_at: timestamp.nullable(),
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
    state: z.enum(['queued', 'upcoming', 'in_export']),
  })
  .meta({ id: 'Redelivery' });

export const failedReplaySchema = z
  .strictObject({
    from: timestamp,
    to: timestamp,
    requested_at: timestamp,
  })
  .meta({ id: 'FailedReplay', description: 'Events whose last attempt failed in this time are scheduled.' });

export function presentWebhook(
  row: WebhookRow,
  nowMs: number,
  box: Pick<SecretBox, 'open'>,
  caller: Caller,
): z.input<typeof webhookSchema> {
  const inUse = row.secrets.flatMap(({ expires_at: at }) => {
    const untilMs = at === null ? Number.POSITIVE_INFINITY : Date.parse(at);
    return untilMs > nowMs ? [untilMs] : [];
  });
  const oldUntilMs = Math.max(...inUse.filter(Number.isFinite));
  return {
    id: row.id,
    account_id: row.account_id,
    url: row.url,
    events: row.events,
    description: row.description,
    headers: shownHeaders(row.headers, box, hasScope(caller, 'webhooks:write')),
    max_in_flight: row.max_in_flight,
    rate_limit: row.rate_limit,
    batch: row.batch,
    order: row.delivery_order,
    held_by:
      row.held_by === null
        ? null
        : eventId({ commitLsn: parseLsn(row.held_by.commit_lsn), index: row.held_by.idx }),
    status: row.status,
    status_reason: row.status_reason,
    start: row.start,
    position: formatPosition({ commitLsn: parseLsn(row.cursor_lsn), index: row.cursor_idx }),
    failures_in_row: row.failures_in_row,
    failing_since: row.failing_since?.toISOString() ?? null,
    resting_until: row.rest_until?.toISOString() ?? null,
    secret_count: inUse.length,
    old_secret_valid_until: Number.isFinite(oldUntilMs) ? new Date(oldUntilMs).toISOString() : null,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}

/**
 * Empty when the headers do not open: an endpoint whose SECRET_KEY is lost can still be shown, changed and
 * deleted.
 */
function shownHeaders(
  stored: StoredHeaders,
  box: Pick<SecretBox, 'open'>,
  withValues: boolean,
): Record<string, string> {
  try {
    const opened = Object.entries(openHeaders(stored, box));
    return Object.fromEntries(opened.map(([name, value]) => [name, withValues ? value : HIDDEN]));
  } catch {
    return {};
  }
}

export function presentDeadLetter(row: DeadRow): z.input<typeof deadLetterSchema> {
  const position = { commitLsn: parseLsn(row.commit_lsn), index: row.idx };
  const { at, class: errorClass, message, status, excerpt } = row.last_error ?? {};
  return {
    event_id: eventId(position),
    type: row.type,
    position: formatPosition(position),
    record: row.record_key,
    attempts: row.attempt_count,
    last_attempt_at: at ?? null,
    status: status ?? null,
    // As in the list of attempts: a response without success is `failed`, any other error has a class.
    outcome: status === undefined ? (errorClass ?? 'unknown') : 'failed',
    excerpt: excerpt ?? message ?? null,
  };
}
