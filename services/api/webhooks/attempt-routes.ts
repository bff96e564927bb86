import type { Pool } from 'pg';
import { z } from 'zod';
import { parseEventId } from '../../../shared/domain/position.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import type { Signer } from '../../../shared/runtime/signing.ts';
import type { RecordRead } from '../events/record-read.ts';
import { hasScope } from '../http/caller.ts';
import { EXAMPLE } from '../http/example-values.ts';
import { instantSchema } from '../http/instant.ts';
import { PAGE_QUERY, searchResponse } from '../http/paging.ts';
import { jsonResponse } from '../http/response.ts';
import { defineRoute, type Route } from '../http/route.ts';
import { listOf, pageOf } from '../http/schema.ts';
import {
  attemptDetailsSchema,
  attemptSchema,
  MAX_BODY_CHARACTERS,
  outcomeSchema,
  presentAttempt,
  presentAttemptDetails,
} from './attempt-response.ts';
import {
  type AttemptPlace,
  type AttemptRow,
  findAttempt,
  listAttempts,
  rebuildBody,
} from './attempt-store.ts';
import { EXAMPLE_ATTEMPT, EXAMPLE_ATTEMPT_DETAILS } from './examples.ts';
import { known } from './routes.ts';
import { findWebhook } from './store.ts';

export interface AttemptDeps {
  readonly pool: Pool;
  readonly cursorSigner: Signer;
}

const eventIdSchema = z
  .string()
  .max(100)
  .refine((id) => parseEventId(id) !== undefined || id.startsWith('test_'), {
    error: 'must be the ID of an event: evt_…',
  })
  .meta({ description: 'Only attempts that sent this event, alone or in a batch.' });

/** What was sent to a webhook endpoint, and what it returned. */
export function attemptRoutes({ pool, cursorSigner }: AttemptDeps, recordRead: RecordRead): Route[] {
  const read = { access: 'webhooks:read', account: 'any', method: 'GET' } as const;
  return [
    defineRoute({
      ...read,
      path: '/webhooks/{id}/attempts',
      operationId: 'listWebhookAttempts',
      tag: 'webhooks',
      summary: 'List delivery attempts',
      description: 'One entry for each request that was sent, also for failed ones.',
      params: { id: 'ID of the webhook endpoint.' },
      example: { params: { id: EXAMPLE.webhook }, query: { limit: 10 } },
      query: z.strictObject({
        ...PAGE_QUERY,
        outcome: outcomeSchema.optional(),
        event_id: eventIdSchema.optional(),
        from: instantSchema.optional().meta({ description: 'Started at this time or later.' }),
        to: instantSchema.optional().meta({ description: 'Started before this time.' }),
      }),
      responses: {
        200: {
          description:
            'Attempts of the last 7 days, newest first. A page may have fewer than `limit` attempts, even none, while has_more is true: the search then continues at next_cursor.',
          schema: listOf(attemptSchema),
          example: pageOf(EXAMPLE_ATTEMPT),
        },
      },
      async handle({ param, query, accountId }) {
        const { id: webhookId } = known(await findWebhook(pool, accountId, param('id')), param('id'));
        const { outcome, event_id: eventId, from, to } = query;
        const filter = { webhookId, outcome, eventId, from, to };
        return searchResponse<AttemptRow, AttemptPlace>(
          cursorSigner,
          `attempts:${JSON.stringify([webhookId, outcome, eventId, from, to])}`,
          query,
          (after, limit) => listAttempts(pool, filter, after, limit),
          presentAttempt,
        );
      },
    }),
    defineRoute({
      ...read,
      path: '/webhooks/{id}/attempts/{attempt_id}',
      operationId: 'getWebhookAttempt',
      tag: 'webhooks',
      summary: 'Show a delivery attempt with its request and response',
      description:
        'What was sent and what the receiver returned, for 7 days. Secret values are hidden. The body, which holds records, needs the scope events:read too.',
      params: { id: 'ID of the webhook endpoint.', attempt_id: 'ID of the attempt.' },
      example: { params: { id: EXAMPLE.webhook, attempt_id: EXAMPLE_ATTEMPT.id } },
      responses: {
        200: {
          description: 'The attempt.',
          schema: attemptDetailsSchema,
          example: EXAMPLE_ATTEMPT_DETAILS,
        },
      },
      async handle({ param, accountId, caller }) {
        const webhook = known(await findWebhook(pool, accountId, param('id')), param('id'));
        const attempt = await findAttempt(pool, webhook.id, param('attempt_id'));
        if (attempt === undefined) {
          throw new AppError(
            'not_found',
            `There is no attempt ${param('attempt_id')}. Attempts are retained for 7 days.`,
          );
        }
        if (!hasScope(caller, 'events:read')) {
          return jsonResponse(200, presentAttemptDetails(attempt, undefined));
        }
        await recordRead(webhook.account_id, caller);
        const body = await rebuildBody(pool, webhook, attempt, MAX_BODY_CHARACTERS);
        return jsonResponse(200, presentAttemptDetails(attempt, body));
      },
    }),
  ];
}
