import { randomUUID } from 'node:crypto';
import type { z } from 'zod';
import type { AppError } from '../../../../shared/runtime/errors.ts';
import type { ApiResponse } from '../../http/response.ts';
import { type Html, html } from '../../pages/html.ts';
import type { webhookWithSecretSchema } from '../../webhooks/response.ts';
import { type DashboardPage, seeOther, type Visit } from '../frame/visit.ts';
import { completedExports, type Listed, type Webhook } from './endpoint-facts.ts';
import { bodyOf, type EventType, newValues, valuesOf, webhookForm } from './webhook-form.ts';
import {
  endpointPath,
  orAgain,
  type PageDeps,
  requestKey,
  SECTION,
  stillPage,
  withDone,
} from './webhook-parts.ts';

export type WebhookWithSecret = z.output<typeof webhookWithSecretSchema>;

const NEW = `${SECTION}/new`;
const EDIT = `${SECTION}/{id}/edit`;

/** Event types in one request, and requests for all of them: more than a catalog has. */
const TYPES_PAGE = 200;
const MAX_TYPE_PAGES = 20;

/** The forms that create and change an endpoint. */
export function formPages(deps: PageDeps): DashboardPage[] {
  const write = { needs: 'webhooks:write' } as const;
  return [
    { ...write, method: 'GET', path: NEW, handle: (visit) => showNew(visit, deps) },
    { ...write, method: 'POST', path: NEW, handle: (visit) => create(visit, deps) },
    { ...write, method: 'GET', path: EDIT, handle: (visit) => showEdit(visit, deps) },
    { ...write, method: 'POST', path: EDIT, handle: (visit) => save(visit, deps) },
  ];
}

async function showNew(visit: Visit, deps: PageDeps, error?: AppError): Promise<ApiResponse> {
  const title = visit.text.webhooks.form.createTitle;
  const form = {
    action: NEW,
    back: SECTION,
    values: error === undefined ? newValues(visit.query.get('after_export')) : visit.form,
    eventTypes: await eventTypes(visit),
    // A refused request has created nothing. The corrected form has another body, so it needs another idempotency key.
    start: { exports: await completedExports(visit), requestKey: randomUUID() },
    error,
  };
  return stillPage(visit, deps, title, html`<h1>${title}</h1>${webhookForm(form, visit)}`, error);
}

function create(visit: Visit, deps: PageDeps): Promise<ApiResponse> {
  return orAgain(
    async () => {
      const created = await visit.ask<WebhookWithSecret>('createWebhook', {
        body: bodyOf(visit, true),
        idempotencyKey: requestKey(visit),
      });
      const title = visit.text.webhooks.secret.createdTitle;
      return stillPage(visit, deps, title, secretBody(title, created, visit));
    },
    (error) => showNew(visit, deps, error),
  );
}

async function showEdit(visit: Visit, deps: PageDeps, error?: AppError): Promise<ApiResponse> {
  const id = visit.request.param('id');
  const webhook = await visit.ask<Webhook>('getWebhook', { params: { id } });
  const title = visit.text.webhooks.form.editTitle;
  const form = {
    action: endpointPath(id, '/edit'),
    back: endpointPath(id),
    values: error === undefined ? valuesOf(webhook) : visit.form,
    eventTypes: await eventTypes(visit),
    start: undefined,
    error,
  };
  const body = html`<h1>${title}</h1><p class="states"><span class="id">${id}</span></p>${webhookForm(form, visit)}`;
  return stillPage(visit, deps, title, body, error);
}

function save(visit: Visit, deps: PageDeps): Promise<ApiResponse> {
  const id = visit.request.param('id');
  return orAgain(
    async () => {
      await visit.send('updateWebhook', { params: { id }, body: bodyOf(visit, false) });
      return seeOther(withDone(endpointPath(id), 'saved'));
    },
    (error) => showEdit(visit, deps, error),
  );
}

async function eventTypes(visit: Visit): Promise<EventType[]> {
  const types: EventType[] = [];
  let cursor: string | null = null;
  for (let pages = 0; pages < MAX_TYPE_PAGES; pages += 1) {
    const query: Record<string, unknown> = { limit: TYPES_PAGE, ...(cursor === null ? {} : { cursor }) };
    const page: Listed<EventType> = await visit.ask('listEventTypes', { query });
    types.push(...page.data);
    cursor = page.next_cursor;
    if (cursor === null) break;
  }
  return types;
}

/**
 * Shows a new secret once. The response to the form has it, because no page can show it later. If the same session sends
 * the form again, it gets the same secret.
 */
export function secretBody(
  title: string,
  { id, secret, old_secret_valid_until: oldUntil }: WebhookWithSecret,
  visit: Visit,
): Html {
  const text = visit.text.webhooks.secret;
  return html`<h1>${title}</h1>
<p class="lead">${text.once}</p>
<div class="code secret" data-copy><div class="code-head">${text.label}</div><pre tabindex="0"><code>${secret}</code></pre></div>
${oldUntil === null ? null : html`<p class="note">${text.overlap(visit.formats.utc(oldUntil))}</p>`}
<p class="choices"><a class="button primary" href="${visit.href(endpointPath(id))}">${text.toEndpoint}</a>
<a class="button" href="${visit.href('/docs/signatures')}" target="_blank" rel="noopener">${text.verify}</a></p>`;
}
