import { randomBytes } from 'node:crypto';
import type { Pool } from 'pg';
import { z } from 'zod';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import type { DeliveryRules } from '../../../shared/domain/delivery-url.ts';
import { newId } from '../../../shared/domain/ids.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { inTransaction } from '../../../shared/postgres/transaction.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import { type SecretBox, sealHeaders } from '../../../shared/runtime/secret-box.ts';
import type { Signer } from '../../../shared/runtime/signing.ts';
import { type Retention, resolveStart } from '../exports/feed-start.ts';
import { recordAudit } from '../http/audit-log.ts';
import { actorOf, type Caller, oneAccount } from '../http/caller.ts';
import { EXAMPLE } from '../http/example-values.ts';
import { PAGE_QUERY, pageResponse } from '../http/paging.ts';
import { jsonResponse, noContent } from '../http/response.ts';
import { defineRoute, type Route } from '../http/route.ts';
import { listOf, pageOf } from '../http/schema.ts';
import { EXAMPLE_SECRET, EXAMPLE_WEBHOOK } from './examples.ts';
import { webhookBodyRules, webhookBodySchema, webhookPatchSchema } from './request.ts';
import { presentWebhook, webhookSchema, webhookWithSecretSchema } from './response.ts';
import {
  addSecret,
  awaitApplied,
  deleteWebhook,
  dropRetries,
  findWebhook,
  insertWebhook,
  listWebhooks,
  lockAndCountWebhooks,
  pauseWebhook,
  resumeWebhook,
  updateWebhook,
  type WebhookRow,
} from './store.ts';

export interface WebhookDeps {
  readonly pool: Pool;
  readonly catalog: Catalog;
  readonly deliveryRules: DeliveryRules;
  readonly secretBox: SecretBox;
  readonly cursorSigner: Signer;
  readonly retention: () => Retention;
  readonly now: () => number;
}

/** Webhook endpoints that an account may have: each reads the account's events. */
export const MAX_WEBHOOKS = 50;

/** How long a rotated secret still signs. */
const GRACE_HOURS = 24;

export function webhookRoutes(deps: WebhookDeps): Route[] {
  const { pool, cursorSigner } = deps;
  const read = { access: 'webhooks:read', account: 'any' } as const;
  const write = { access: 'webhooks:write', account: 'any' } as const;
  const present = (row: WebhookRow, caller: Caller) =>
    presentWebhook(row, deps.now(), deps.secretBox, caller);
  const show = (row: WebhookRow | undefined, id: string, caller: Caller) =>
    jsonResponse(200, present(known(row, id), caller));
  const shown = (example: typeof EXAMPLE_WEBHOOK) => ({
    200: { description: 'The webhook endpoint.', schema: webhookSchema, example },
  });

  return [
    defineRoute({
      method: 'POST',
      path: '/webhooks',
      operationId: 'createWebhook',
      tag: 'webhooks',
      summary: 'Create a webhook endpoint',
      description:
        "Events that match `events` are sent to the URL, signed with the secret. `start` says which event is the first: with `after_export`, exactly those that the export's snapshot does not hold.",
      example: { body: { url: 'https://example.com/hooks/tandem', events: ['*'], start: 'now' } },
      problems: {
        not_found: 'There is no export `after_export`.',
        conflict:
          'The export `after_export` has not completed, or the account has as many webhook endpoints as it may have.',
      },
      access: 'webhooks:write',
      account: 'one',
      creates: true,
      body: webhookBodySchema(deps.catalog, deps.deliveryRules),
      bodyRules: webhookBodyRules,
      responses: {
        201: {
          description: 'The webhook endpoint. Its secret is shown only in this response.',
          schema: webhookWithSecretSchema,
          example: { ...EXAMPLE_WEBHOOK, secret: EXAMPLE_SECRET },
          headers: ['Location'],
        },
      },
      handle: ({ body, accountId, caller, once }) =>
        once(async (db) => {
          const account = oneAccount(accountId);
          if ((await lockAndCountWebhooks(db, account)) >= MAX_WEBHOOKS) {
            throw new AppError(
              'conflict',
              `An account may have ${MAX_WEBHOOKS} webhook endpoints. Delete one that is not in use.`,
            );
          }
          const { cursor, handOff } = await resolveStart(db, account, body.start, '/start', deps.retention());
          const secret = newSecret();
          const row = await insertWebhook(db, {
            id: newId('whk'),
            accountId: account,
            url: body.url,
            events: [...new Set(body.events)],
            description: body.description,
            headers: sealHeaders(body.headers, deps.secretBox),
            maxInFlight: body.max_in_flight,
            rateLimit: body.rate_limit,
            batch: body.batch,
            order: body.order,
            secret: { ciphertext: deps.secretBox.seal(secret), expires_at: null },
            start: body.start,
            cursor,
            handOff,
          });
          const webhook = present(known(row, 'new'), caller);
          await recordAudit(db, {
            accountId: account,
            actor: actorOf(caller),
            action: 'webhook.created',
            subjectId: webhook.id,
            details: { url: shownUrl(body.url) },
          });
          return jsonResponse(201, { ...webhook, secret }, { location: `/webhooks/${webhook.id}` });
        }),
    }),
    defineRoute({
      ...read,
      method: 'GET',
      path: '/webhooks',
      operationId: 'listWebhooks',
      tag: 'webhooks',
      summary: 'List webhook endpoints',
      description: 'Newest first.',
      example: { query: { limit: 10 } },
      query: z.strictObject(PAGE_QUERY),
      responses: {
        200: {
          description: 'Webhook endpoints, newest first.',
          schema: listOf(webhookSchema),
          example: pageOf(EXAMPLE_WEBHOOK),
        },
      },
      handle: ({ query, accountId, caller }) =>
        pageResponse(
          cursorSigner,
          `webhooks:${accountId ?? '*'}`,
          query,
          (after, limit) => listWebhooks(pool, accountId, after, limit),
          (row) => present(row, caller),
        ),
    }),
    defineRoute({
      ...read,
      method: 'GET',
      path: '/webhooks/{id}',
      operationId: 'getWebhook',
      tag: 'webhooks',
      summary: 'Show a webhook endpoint',
      description:
        'Shows settings, status and health. The secret is not shown; values of `headers` need the scope webhooks:write.',
      params: { id: 'ID of the webhook endpoint.' },
      example: { params: { id: EXAMPLE.webhook } },
      responses: shown(EXAMPLE_WEBHOOK),
      handle: async ({ param, accountId, caller }) =>
        show(await findWebhook(pool, accountId, param('id')), param('id'), caller),
    }),
    defineRoute({
      ...write,
      method: 'PATCH',
      path: '/webhooks/{id}',
      operationId: 'updateWebhook',
      tag: 'webhooks',
      summary: 'Change a webhook endpoint',
      description:
        'Changes the fields that the body has, from the next delivery on. `headers` and `events` are replaced as a whole.',
      params: { id: 'ID of the webhook endpoint.' },
      example: { params: { id: EXAMPLE.webhook }, body: { description: 'Production', max_in_flight: 20 } },
      body: webhookPatchSchema(deps.catalog, deps.deliveryRules),
      bodyRules: webhookBodyRules,
      responses: shown({ ...EXAMPLE_WEBHOOK, description: 'Production', max_in_flight: 20 }),
      async handle({ param, body, accountId, caller }) {
        const { url, events, description, batch, order } = body;
        const headers = body.headers === undefined ? undefined : sealHeaders(body.headers, deps.secretBox);
        const limits = { maxInFlight: body.max_in_flight, rateLimit: body.rate_limit };
        const change = { url, events, description, headers, batch, order, ...limits };
        const row = await inTransaction(pool, async (db) => {
          const changed = known(await updateWebhook(db, accountId, param('id'), change), param('id'));
          await record(db, changed, caller, 'webhook.updated', {
            fields: Object.keys(body),
            ...(body.url === undefined ? {} : { url: shownUrl(body.url) }),
          });
          return changed;
        });
        await awaitApplied(pool, row.id);
        return show(row, row.id, caller);
      },
    }),
    defineRoute({
      ...write,
      method: 'DELETE',
      path: '/webhooks/{id}',
      operationId: 'deleteWebhook',
      tag: 'webhooks',
      summary: 'Delete a webhook endpoint and its pending deliveries',
      description:
        'Nothing is sent after the response. Pending deliveries and dead letters are removed at once, attempts within 7 days.',
      params: { id: 'ID of the webhook endpoint.' },
      example: { params: { id: EXAMPLE.webhook } },
      responses: { 204: { description: 'Deleted.' } },
      async handle({ param, accountId, caller }) {
        // Pauses the endpoint first, so that nothing is sent to it after the response.
        const row = known(await pauseWebhook(pool, accountId, param('id')), param('id'));
        await awaitApplied(pool, row.id);
        await dropRetries(pool, row.id);
        await inTransaction(pool, async (db) => {
          if (await deleteWebhook(db, accountId, row.id)) await record(db, row, caller, 'webhook.deleted');
        });
        return noContent();
      },
    }),
    defineRoute({
      ...write,
      method: 'POST',
      path: '/webhooks/{id}/pause',
      operationId: 'pauseWebhook',
      tag: 'webhooks',
      summary: 'Pause deliveries; events are retained',
      description: 'Nothing is sent after the response. Events are kept for as long as any event.',
      params: { id: 'ID of the webhook endpoint.' },
      example: { params: { id: EXAMPLE.webhook } },
      responses: shown({ ...EXAMPLE_WEBHOOK, status: 'paused' }),
      async handle({ param, accountId, caller }) {
        const row = await inTransaction(pool, async (db) => {
          const paused = known(await pauseWebhook(db, accountId, param('id')), param('id'));
          await record(db, paused, caller, 'webhook.paused');
          return paused;
        });
        await awaitApplied(pool, row.id);
        return show(row, row.id, caller);
      },
    }),
    defineRoute({
      ...write,
      method: 'POST',
      path: '/webhooks/{id}/resume',
      operationId: 'resumeWebhook',
      tag: 'webhooks',
      summary: 'Resume deliveries where they stopped',
      description:
        'Continues a paused or disabled webhook endpoint with the event after the last one delivered.',
      params: { id: 'ID of the webhook endpoint.' },
      example: { params: { id: EXAMPLE.webhook } },
      problems: {
        conflict:
          'Undelivered events are no longer retained. Replay from a later position or after a new export first.',
      },
      responses: shown(EXAMPLE_WEBHOOK),
      async handle({ param, accountId, caller }) {
        const { missed_events: hasMissed } = known(
          await findWebhook(pool, accountId, param('id')),
          param('id'),
        );
        if (hasMissed) {
          throw new AppError(
            'conflict',
            'Undelivered events are no longer retained. Replay from a later position or after a new export first.',
          );
        }
        const row = await inTransaction(pool, async (db) => {
          const resumed = known(await resumeWebhook(db, accountId, param('id')), param('id'));
          await record(db, resumed, caller, 'webhook.resumed');
          return resumed;
        });
        return show(row, row.id, caller);
      },
    }),
    defineRoute({
      ...write,
      method: 'POST',
      path: '/webhooks/{id}/rotate-secret',
      operationId: 'rotateWebhookSecret',
      tag: 'webhooks',
      summary: `Rotate the secret; the old secret also signs for ${GRACE_HOURS} more hours`,
      description:
        'Requests are signed with both secrets for a day, so that the receiver can switch without a break.',
      params: { id: 'ID of the webhook endpoint.' },
      example: { params: { id: EXAMPLE.webhook } },
      creates: true,
      responses: {
        200: {
          description: 'The webhook endpoint. Its new secret is shown only in this response.',
          schema: webhookWithSecretSchema,
          example: {
            ...EXAMPLE_WEBHOOK,
            secret_count: 2,
            old_secret_valid_until: EXAMPLE.later,
            secret: EXAMPLE_SECRET,
          },
        },
      },
      async handle({ param, accountId, caller, once }) {
        const response = await once(async (db) => {
          const secret = newSecret();
          const row = await addSecret(db, accountId, param('id'), deps.secretBox.seal(secret), GRACE_HOURS);
          await record(db, known(row, param('id')), caller, 'webhook.secret_rotated');
          return jsonResponse(200, {
            ...present(known(row, param('id')), caller),
            secret,
          });
        });
        // A receiver may switch to the new secret with the response, and drop the old one.
        await awaitApplied(pool, param('id'));
        return response;
      },
    }),
  ];
}

/** Records who changed which endpoint, in the transaction of the change. */
async function record(
  db: Queryable,
  { id, account_id: accountId }: WebhookRow,
  caller: Caller,
  action:
    | 'webhook.updated'
    | 'webhook.paused'
    | 'webhook.resumed'
    | 'webhook.secret_rotated'
    | 'webhook.deleted',
  details: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  await recordAudit(db, { accountId, actor: actorOf(caller), action, subjectId: id, details });
}

/** The query of a URL may hold a secret of the receiver. */
function shownUrl(url: string): string | undefined {
  return url.split(/[?#]/)[0];
}

/** @throws AppError `not_found` */
export function known(row: WebhookRow | undefined, id: string): WebhookRow {
  if (row === undefined) throw new AppError('not_found', `There is no webhook endpoint ${id}.`);
  return row;
}

/** 256 bits in the form of Standard Webhooks. */
function newSecret(): string {
  return `whsec_${randomBytes(32).toString('base64')}`;
}
