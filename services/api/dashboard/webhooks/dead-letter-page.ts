import type { z } from 'zod';
import { type Html, html } from '../../pages/html.ts';
import type { deadLetterSchema } from '../../webhooks/response.ts';
import { listLinks } from '../frame/search-form.ts';
import type { DashboardPage, Visit } from '../frame/visit.ts';
import type { Listed, Webhook } from './endpoint-facts.ts';
import {
  actionForm,
  doneNote,
  endpointPath,
  nameOf,
  outcomeBadge,
  type PageDeps,
  SECTION,
  stillPage,
} from './webhook-parts.ts';

type DeadLetter = z.output<typeof deadLetterSchema>;

const PAGE_SIZE = 20;

/** Characters of a response that a row shows. */
const MAX_EXCERPT = 200;

/** What was given up at an endpoint. */
export function deadLetterPage(deps: PageDeps): DashboardPage {
  return {
    method: 'GET',
    path: `${SECTION}/{id}/dead-letters`,
    needs: 'webhooks:read',
    async handle(visit) {
      const params = { id: visit.request.param('id') };
      const cursor = visit.query.get('cursor');
      const webhook = await visit.ask<Webhook>('getWebhook', { params });
      const list = await visit.ask<Listed<DeadLetter>>('listDeadLetters', {
        params,
        query: { limit: PAGE_SIZE, ...(cursor === null ? {} : { cursor }) },
      });
      return stillPage(visit, deps, visit.text.webhooks.dead.title, body(webhook, list, visit));
    },
  };
}

function body(webhook: Webhook, { data, next_cursor: next }: Listed<DeadLetter>, visit: Visit): Html {
  const text = visit.text.webhooks.dead;
  const path = (rest: string) => visit.href(endpointPath(webhook.id, rest));
  const mayWrite = visit.may('webhooks:write');
  return html`<p class="crumb"><a class="name" href="${path('')}">${nameOf(webhook)}</a></p>
<h1>${text.title}</h1>
<p class="lead">${text.lead}</p>
${doneNote(visit)}
${data.length === 0 ? html`<p class="empty">${text.none}</p>` : table(webhook.id, data, mayWrite, visit)}
${listLinks(
  visit,
  { path: endpointPath(webhook.id, '/dead-letters'), next, words: { first: text.newest, next: text.older } },
  mayWrite && data.length > 0
    ? html`<a class="button" href="${path('?recover=1#recover')}">${text.recover}</a>`
    : null,
)}`;
}

function table(id: string, letters: readonly DeadLetter[], mayWrite: boolean, visit: Visit): Html {
  const { columns } = visit.text.webhooks.dead;
  return html`<table class="list dead"><thead><tr><th scope="col">${columns.event}</th><th scope="col">${columns.reason}</th><th scope="col" class="wide number">${columns.attempts}</th>${mayWrite ? html`<td></td>` : null}</tr></thead>
<tbody>${letters.map((each) => row(id, each, mayWrite, visit))}</tbody></table>`;
}

function row(webhookId: string, letter: DeadLetter, mayWrite: boolean, visit: Visit): Html {
  const text = visit.text.webhooks;
  const { event_id: eventId, type, record, excerpt, last_attempt_at: at } = letter;
  const isKept = type !== null;
  return html`<tr>
<th scope="row">${isKept && visit.may('events:read') ? html`<a href="${visit.href(`/dashboard/events/${eventId}`)}">${type}</a>` : (type ?? text.dead.gone)}
<small class="short"><span class="id">${eventId}</span> ${record}</small></th>
<td>${outcomeBadge(letter, visit)}<small class="short"><a href="${visit.href(`${endpointPath(webhookId, '/attempts')}?event_id=${encodeURIComponent(eventId)}`)}">${visit.formats.time(at)}</a>${excerpt && html` · ${excerpt.slice(0, MAX_EXCERPT).toWellFormed()}`}</small></td>
<td class="wide number">${visit.formats.number(letter.attempts)}</td>
${mayWrite ? html`<td>${isKept ? actionForm(visit, endpointPath(webhookId, '/redeliver'), text.attempt.redeliver, html`<input type="hidden" name="event" value="${eventId}"><input type="hidden" name="list" value="dead">`) : null}</td>` : null}
</tr>`;
}
