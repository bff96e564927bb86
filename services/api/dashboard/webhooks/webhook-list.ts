import { type Html, html } from '../../pages/html.ts';
import type { Live } from '../frame/live.ts';
import { timeOf } from '../frame/parts.ts';
import { listLinks } from '../frame/search-form.ts';
import type { Visit } from '../frame/visit.ts';
import type { Listed, Webhook } from './endpoint-facts.ts';
import { doneNote, endpointPath, healthBadge, nameOf, SECTION } from './webhook-parts.ts';

const PAGE_SIZE = 20;

/** Filters that a row shows at most. */
const MAX_FILTERS = 3;

export function readList(visit: Visit): Promise<Listed<Webhook>> {
  const cursor = visit.query.get('cursor');
  const query = { limit: PAGE_SIZE, ...(cursor === null ? {} : { cursor }) };
  return visit.ask<Listed<Webhook>>('listWebhooks', { query });
}

export function listBody({ data, next_cursor: next }: Listed<Webhook>, live: Live, visit: Visit): Html {
  const text = visit.text.webhooks.list;
  return html`<div class="title-row"><h1>${text.title}</h1>
${visit.may('webhooks:write') ? html`<a class="button primary" href="${visit.href(`${SECTION}/new`)}">${text.create}</a>` : null}</div>
${doneNote(visit)}
${data.length === 0 ? html`<p class="empty">${text.none}</p>` : table(data, live, visit)}
${listLinks(visit, { path: SECTION, next, words: { first: text.newest, next: text.older } })}`;
}

function table(webhooks: readonly Webhook[], live: Live, visit: Visit): Html {
  const { columns } = visit.text.webhooks.list;
  return html`<table class="list endpoints"><thead><tr><th scope="col">${columns.endpoint}</th><th scope="col">${columns.status}</th><th scope="col" class="wide">${columns.events}</th></tr></thead>
<tbody>${webhooks.map((each) => row(each, live, visit))}</tbody></table>`;
}

function row(webhook: Webhook, live: Live, visit: Visit): Html {
  const { id, url, events, status, failing_since: since } = webhook;
  const name = nameOf(webhook);
  return html`<tr>
<th scope="row"><a class="short" href="${visit.href(endpointPath(id))}">${name}</a>
${name === url ? null : html`<small class="short">${url}</small>`}</th>
<td>${healthBadge(webhook, visit)}${since === null || status !== 'active' ? null : html`<small>${timeOf(live, visit, `failing-${id}`, since)}</small>`}</td>
<td class="wide">${eventsOf(events, visit)}</td>
</tr>`;
}

/** The filters of an endpoint. Many filters are summarised in words. */
export function eventsOf(events: readonly string[], { text, formats }: Visit): Html | string {
  if (events.includes('*')) return text.webhooks.list.allEvents;
  if (events.length > MAX_FILTERS) {
    return text.webhooks.list.eventCount(formats.number(events.length), events.length === 1);
  }
  return html`${events.map((each, index) => html`${index === 0 ? '' : ' '}<code>${each}</code>`)}`;
}
