import { createHash } from 'node:crypto';
import type { AppError } from '../../../../shared/runtime/errors.ts';
import { codeTabs } from '../../docs/highlight.ts';
import { type Html, html } from '../../pages/html.ts';
import { csrfField } from '../frame/layout.ts';
import type { Visit } from '../frame/visit.ts';
import type { WebhookWithSecret } from '../webhooks/form-pages.ts';
import { followCode } from './export-files.ts';
import type { Export, Resource } from './export-types.ts';

/** A refused form for a new endpoint. */
export interface RefusedEndpoint {
  readonly url: string;
  readonly error: AppError;
}

/** Limit of an endpoint's filters. With more resources it gets all events. */
const MAX_FILTERS = 50;

/** Within this time the same form is the same request. */
const SAME_REQUEST_MS = 10 * 60_000;

/** Whether an endpoint can start where this export ends. */
export function canContinue({ status, snapshot }: Export): boolean {
  return snapshot !== null && (status === 'completed' || status === 'expired');
}

/** The form for an endpoint that starts where the export ends, with receiver code. */
export function continueSection(
  details: Export,
  refused: RefusedEndpoint | undefined,
  visit: Visit,
): Html | null {
  if (!canContinue(details)) return null;
  const text = visit.text.exports.proceed;
  return html`<section class="continue" id="continue"><h2>${text.title}</h2><p>${text.lead}</p>
${visit.may('webhooks:write') ? endpointForm(details, refused, visit) : null}
${
  details.files.length === 0
    ? null
    : html`<details><summary>${text.byCode}</summary>${codeTabs(followCode(details), { group: 'follow', label: text.byCode })}</details>`
}
</section>`;
}

function endpointForm({ id }: Export, refused: RefusedEndpoint | undefined, visit: Visit): Html {
  const text = visit.text.exports.proceed;
  const described = html`<p class="fault" role="alert" id="url-fault">${refused && `${text.refused} ${faultText(refused.error)}`}</p>`;
  return html`<form method="post" action="${visit.href(`/dashboard/exports/${id}#continue`)}">${csrfField(visit.session)}
${refused && described}
<label for="url">${text.url}</label>
<div class="inline"><input id="url" name="url" type="url" required maxlength="2000" placeholder="https://" autocomplete="off" spellcheck="false" value="${refused?.url}"${refused && html` aria-invalid="true" aria-describedby="url-fault"`}>
<button class="primary">${text.submit}</button></div>
<p class="hint">${text.hint} <a href="${visit.href(`/dashboard/webhooks/new?after_export=${id}`)}">${text.settings}</a></p></form>`;
}

function faultText({ message, errors }: AppError): string {
  return errors.length === 0 ? message : errors.map(({ detail }) => detail).join('. ');
}

/**
 * Creates an endpoint that starts where the export ends, for the events of its resources.
 *
 * @throws AppError when the API refuses it
 */
export async function createEndpoint(details: Export, url: string, visit: Visit): Promise<WebhookWithSecret> {
  return visit.ask<WebhookWithSecret>('createWebhook', {
    body: { url, events: await eventsOf(details, visit), start: { after_export: details.id } },
    idempotencyKey: requestKey(details.id, url, visit),
  });
}

/** The event types of the export's records, and those that require a new export. */
async function eventsOf({ resources }: Export, visit: Visit): Promise<string[]> {
  if (resources.length >= MAX_FILTERS) return ['*'];
  const groups = new Set<string>();
  for (const name of resources) {
    const { event_types: types } = await visit.ask<Resource>('getResource', { params: { name } });
    for (const type of types) groups.add(`${type.slice(0, type.lastIndexOf('.'))}.*`);
  }
  return groups.size === 0 ? ['*'] : [...groups, 'feed.*'];
}

/**
 * The idempotency key, so that a form sent twice creates one endpoint. Not a form field, because the page's content is
 * compared for changes.
 */
function requestKey(id: string, url: string, { session }: Visit): string {
  const time = Math.floor(Date.now() / SAME_REQUEST_MS);
  return createHash('sha256')
    .update(JSON.stringify([session.id, id, url, time]))
    .digest('base64url');
}
