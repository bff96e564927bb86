import type { Pool } from 'pg';
import { z } from 'zod';
import { scheduleRedelivery } from '../../../shared/control/webhooks/deliver-again.ts';
import {
  findTest,
  type RequestedTest,
  requestTest,
  withdrawTest,
} from '../../../shared/control/webhooks/test-deliveries.ts';
import { type Catalog, findResource } from '../../../shared/domain/catalog.ts';
import { isTypeWanted } from '../../../shared/domain/event-pattern.ts';
import { newId } from '../../../shared/domain/ids.ts';
import { parseLsn } from '../../../shared/domain/lsn.ts';
import { formatPosition, parseEventId, parsePosition } from '../../../shared/domain/position.ts';
import { inTransaction } from '../../../shared/postgres/transaction.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import type { Signer } from '../../../shared/runtime/signing.ts';
import { sleep } from '../../../shared/runtime/sleep.ts';
import { recordAudit } from '../http/audit-log.ts';
import { actorOf } from '../http/caller.ts';
import { EXAMPLE } from '../http/example-values.ts';
import { PAGE_QUERY, readCursor, writeCursor } from '../http/paging.ts';
import { jsonResponse } from '../http/response.ts';
import { defineRoute, type Route } from '../http/route.ts';
import { listOf, pageOf } from '../http/schema.ts';
import { findStoredEvent, listDead } from './delivery-store.ts';
import { EXAMPLE_DEAD_LETTER, EXAMPLE_TEST } from './examples.ts';
import { deadLetterSchema, presentDeadLetter, redeliverySchema, webhookTestSchema } from './response.ts';
import { known } from './routes.ts';
import { findWebhook, type WebhookRow } from './store.ts';

export interface DeliveryDeps {
  readonly pool: Pool;
  readonly catalog: Catalog;
  readonly cursorSigner: Signer;
  readonly now: () => number;
}

/** A running dispatcher claims a test within a second. After this time none is running. */
const CLAIM_LIMIT_MS = 5_000;

/** The deadline of a delivery, plus its claim and the record of its result. */
const RESULT_LIMIT_MS = 20_000;
const RESULT_POLL_MS = 50;

/** Single deliveries of a webhook endpoint: test, redelivery and dead letters. */
export function deliveryRoutes(deps: DeliveryDeps): Route[] {
  const { pool, catalog, cursorSigner } = deps;
  const write = { access: 'webhooks:write', account: 'any' } as const;
  const requireWebhook = async (accountId: string | null, id: string): Promise<WebhookRow> =>
    known(await findWebhook(pool, accountId, id), id);

  return [
    defineRoute({
      ...write,
      method: 'POST',
      path: '/webhooks/{id}/test',
      operationId: 'testWebhook',
      tag: 'webhooks',
      summary:
        'Send one signed webhook.test event now, regardless of the status and filters of the webhook endpoint',
      description:
        'Sends one `webhook.test` event and returns the response of the receiver. It is sent to a paused or disabled webhook endpoint too.',
      params: { id: 'ID of the webhook endpoint.' },
      example: { params: { id: EXAMPLE.webhook } },
      problems: {
        conflict: 'Another test of this webhook endpoint is running.',
      },
      responses: {
        200: {
          description: 'The response of the webhook endpoint, also after a failure.',
          schema: webhookTestSchema,
          example: EXAMPLE_TEST,
        },
        202: {
          description: 'The test is still running. Its result appears in the list of attempts.',
          schema: webhookTestSchema,
          headers: ['Retry-After'],
        },
      },
      async handle({ param, accountId }) {
        const webhook = await requireWebhook(accountId, param('id'));
        const eventId = newId('test', deps.now());
        const payload = JSON.stringify(testEvent(eventId, webhook, deps.now()));
        if (!(await requestTest(pool, { webhookId: webhook.id, eventId, payload }))) {
          throw new AppError('conflict', 'A test of this webhook endpoint is running. Wait for its result.', {
            retryAfterSeconds: 1,
          });
        }
        const test = await awaitTest(pool, webhook.id, eventId);
        const facts = { event_id: eventId, webhook_id: webhook.id };
        if (test?.result == null) {
          return jsonResponse(202, { ...facts, outcome: 'under_way' }, { 'retry-after': '1' });
        }
        return jsonResponse(200, { ...facts, ...test.result });
      },
    }),
    defineRoute({
      access: 'webhooks:read',
      account: 'any',
      method: 'GET',
      path: '/webhooks/{id}/dead-letters',
      operationId: 'listDeadLetters',
      tag: 'webhooks',
      summary: 'List dead letters: deliveries that were given up',
      description: 'Newest first.',
      params: { id: 'ID of the webhook endpoint.' },
      example: { params: { id: EXAMPLE.webhook }, query: { limit: 10 } },
      query: z.strictObject(PAGE_QUERY),
      responses: {
        200: {
          description: 'Dead letters, newest event first. POST /events/{id}/redeliver sends one again.',
          schema: listOf(deadLetterSchema),
          example: pageOf(EXAMPLE_DEAD_LETTER),
        },
      },
      async handle({ param, query, accountId }) {
        const { id } = await requireWebhook(accountId, param('id'));
        const list = `dead-letters:${id}`;
        const before =
          query.cursor === undefined
            ? undefined
            : parsePosition(readCursor<string>(cursorSigner, list, query.cursor));
        const rows = await listDead(pool, id, before, query.limit + 1);
        const page = rows.slice(0, query.limit);
        const last = page.at(-1);
        const hasMore = rows.length > query.limit && last !== undefined;
        return jsonResponse(200, {
          data: page.map(presentDeadLetter),
          has_more: hasMore,
          next_cursor: hasMore
            ? writeCursor(
                cursorSigner,
                list,
                formatPosition({ commitLsn: parseLsn(last.commit_lsn), index: last.idx }),
              )
            : null,
        });
      },
    }),
    defineRoute({
      ...write,
      method: 'POST',
      path: '/events/{id}/redeliver',
      operationId: 'redeliverEvent',
      tag: 'webhooks',
      summary: 'Deliver an event to a webhook endpoint again with the same webhook-id, also a dead letter',
      description: 'Sends one event again, also a dead letter, without moving the webhook endpoint.',
      params: { id: 'ID of the event.' },
      example: { params: { id: EXAMPLE.event }, body: { webhook_id: EXAMPLE.webhook } },
      problems: {
        not_found: 'There is no such event, or no such webhook endpoint.',
        conflict: 'The webhook endpoint does not subscribe to events of this type.',
      },
      body: z.strictObject({ webhook_id: z.string().min(1).max(100) }),
      responses: {
        202: {
          description:
            'queued: the event is sent again. upcoming: the webhook endpoint has not reached the event yet and receives it without a redelivery. in_export: nothing is sent, because the export that the webhook endpoint starts after holds the change, and the event would replace later values.',
          schema: redeliverySchema,
          headers: ['Retry-After'],
          example: { event_id: EXAMPLE.event, webhook_id: EXAMPLE.webhook, state: 'queued' },
        },
      },
      async handle({ param, body, accountId, caller }) {
        const webhook = await findWebhook(pool, accountId, body.webhook_id);
        if (webhook === undefined)
          throw new AppError('not_found', `There is no webhook endpoint ${body.webhook_id}.`);
        const position = parseEventId(param('id'));
        const event = position && (await findStoredEvent(pool, webhook.account_id, position));
        if (position === undefined || event === undefined) {
          throw new AppError('not_found', `There is no event ${param('id')}. Its retention may have ended.`);
        }
        if (!isTypeWanted(webhook.events, event.type, findResource(catalog, event.resource)?.event)) {
          throw new AppError(
            'conflict',
            `The webhook endpoint does not subscribe to ${event.type}. Change its events first.`,
          );
        }
        const state = await inTransaction(pool, async (db) => {
          const became = await scheduleRedelivery(db, webhook.account_id, webhook.id, position);
          await recordAudit(db, {
            accountId: webhook.account_id,
            actor: actorOf(caller),
            action: 'event.redelivered',
            subjectId: webhook.id,
            details: { event: param('id'), state: became },
          });
          return became;
        });
        const redelivery = { event_id: param('id'), webhook_id: webhook.id, state };
        return jsonResponse(202, redelivery, { 'retry-after': '1' });
      },
    }),
  ];
}

/** A test event has no position, because it is not part of the feed. */
function testEvent(id: string, webhook: WebhookRow, nowMs: number) {
  return {
    id,
    type: 'webhook.test',
    timestamp: new Date(nowMs).toISOString(),
    account_id: webhook.account_id,
    position: null,
    resource: 'webhook',
    key: { id: webhook.id },
    data: { id: webhook.id, url: webhook.url, events: webhook.events },
  };
}

/** @throws AppError `unavailable` when no dispatcher claims the test, which is then withdrawn and never sent */
async function awaitTest(pool: Pool, webhookId: string, eventId: string): Promise<RequestedTest | undefined> {
  const askedAtMs = performance.now();
  let isClaimed = false;
  for (;;) {
    const waitedMs = performance.now() - askedAtMs;
    const test = await findTest(pool, webhookId, eventId);
    if (test === undefined || test.result !== null || waitedMs > RESULT_LIMIT_MS) return test;
    isClaimed ||= test.claimed_at !== null;
    if (!isClaimed && waitedMs > CLAIM_LIMIT_MS && (await withdrawTest(pool, webhookId, eventId))) {
      throw new AppError(
        'unavailable',
        'No dispatcher claimed the test, so no request was sent. Try again.',
        {
          retryAfterSeconds: 5,
        },
      );
    }
    await sleep(RESULT_POLL_MS);
  }
}
