import { z } from 'zod';
import { deliveryHeaders, deliveryTimestamp } from '../../../shared/protocol/webhook-message.ts';
import { count, timestamp } from '../http/schema.ts';
import type { AttemptDetails, AttemptRow, SentBody } from './attempt-store.ts';
import { HIDDEN } from './request.ts';

/** What an attempt can come to, besides `delivered` and a response that is no success. */
const ERROR_CLASSES = [
  'invalid_url',
  'address_refused',
  'dns',
  'refused',
  'unreachable',
  'reset',
  'tls',
  'timeout',
  'protocol',
  'oversized',
] as const;

/** Values of the filter by outcome. */
export const outcomeSchema = z.enum(['delivered', 'failed', ...ERROR_CLASSES]).meta({
  description:
    'delivered: a 2xx response. failed: anything else. Or the class of an error that left the attempt without a response.',
});

export const attemptSchema = z
  .strictObject({
    id: z.string(),
    event_id: z.string().meta({ description: 'ID of the event, or of the first event of the batch.' }),
    batch: z
      .strictObject({ id: z.string(), event_count: count, last_event_id: z.string() })
      .nullable()
      .meta({ description: 'Null: the request held one event.' }),
    attempt: z.int(),
    started_at: timestamp,
    duration_ms: count,
    status: z.int().nullable().meta({ description: 'HTTP status of the response. Null without a response.' }),
    outcome: z.string().meta({
      description: `delivered, failed (a response without success), or the class of an error: ${ERROR_CLASSES.join(', ')}, aborted.`,
    }),
    excerpt: z
      .string()
      .nullable()
      .meta({ description: 'The first 1,024 bytes of the response body, or the text of the error.' }),
  })
  .meta({ id: 'Attempt' });

const headersSchema = z.record(z.string(), z.string());

export const attemptDetailsSchema = attemptSchema
  .extend({
    event_ids: z.array(z.string()).meta({ description: 'The events of the request, in its order.' }),
    request: z
      .strictObject({
        method: z.literal('POST'),
        headers: headersSchema.meta({
          description: 'Headers that you configured have their values hidden. The signing secret is in none.',
        }),
        body: z.string().nullable().meta({
          description:
            'The text that was signed and sent, rebuilt from the events. Null once one of them is no longer retained, or when the key lacks the scope events:read.',
        }),
        body_bytes: count.nullable().meta({ description: 'Length of the whole body. Null without `body`.' }),
        is_body_cut: z.boolean().meta({ description: 'Only the beginning of the body is shown.' }),
      })
      .nullable()
      .meta({ description: 'Null when no request was sent, or the attempt is older than this record.' }),
    response: z
      .strictObject({
        status: z.int(),
        headers: headersSchema.meta({
          description:
            'In lower case. Values of more than 200 characters are shortened, those of secret headers hidden.',
        }),
        headers_omitted: count.meta({
          description: 'Headers that are not shown, because there were too many.',
        }),
        body: z.string().meta({ description: 'The first 1,024 bytes.' }),
        is_body_cut: z.boolean().meta({ description: 'The body was longer.' }),
      })
      .nullable()
      .meta({ description: 'Null without a response, or when the attempt is older than this record.' }),
  })
  .meta({ id: 'AttemptDetails' });

/** Longer bodies are cut. */
export const MAX_BODY_CHARACTERS = 65_536;

export function presentAttempt(row: AttemptRow): z.input<typeof attemptSchema> {
  return {
    id: row.id,
    event_id: row.event_id,
    batch: row.batch,
    attempt: row.attempt,
    started_at: row.started_at.toISOString(),
    duration_ms: row.duration_ms,
    status: row.status,
    outcome: row.outcome,
    excerpt: row.excerpt,
  };
}

export function presentAttemptDetails(
  row: AttemptDetails,
  body: SentBody | undefined,
): z.input<typeof attemptDetailsSchema> {
  return {
    ...presentAttempt(row),
    event_ids: row.event_ids ?? [row.event_id],
    request: presentRequest(row, body),
    response: presentResponse(row),
  };
}

function presentRequest(
  { request, batch, event_id: eventId, started_at: startedAt }: AttemptDetails,
  sent: SentBody | undefined,
): z.input<typeof attemptDetailsSchema>['request'] {
  if (request === null) return null;
  const body = sent?.text.slice(0, MAX_BODY_CHARACTERS).toWellFormed() ?? null;
  return {
    method: 'POST',
    headers: {
      ...Object.fromEntries(request.own_headers.map((name) => [name, HIDDEN])),
      ...deliveryHeaders(batch?.id ?? eventId, deliveryTimestamp(startedAt.getTime()), request.signature),
    },
    body,
    body_bytes: sent?.bytes ?? null,
    is_body_cut: sent !== undefined && Buffer.byteLength(body ?? '') < sent.bytes,
  };
}

function presentResponse({
  status,
  response,
  excerpt,
}: AttemptDetails): z.input<typeof attemptDetailsSchema>['response'] {
  if (status === null || response === null) return null;
  const { headers, headers_omitted, is_body_cut } = response;
  return { status, headers, headers_omitted, body: excerpt ?? '', is_body_cut };
}
