import type { AppError } from '../../../../shared/runtime/errors.ts';
import type { ApiResponse } from '../../http/response.ts';
import { flag, type Html, html } from '../../pages/html.ts';
import { faultBox } from '../frame/fault-box.ts';
import { listLinks } from '../frame/search-form.ts';
import type { DashboardPage, Visit } from '../frame/visit.ts';
import type { Attempt, Listed, Webhook } from './endpoint-facts.ts';
import {
  doneNote,
  endpointPath,
  eventLink,
  instantOf,
  nameOf,
  orAgain,
  outcomeBadge,
  type PageDeps,
  SECTION,
  stillPage,
} from './webhook-parts.ts';

const PAGE_SIZE = 50;

/** Results that the filter offers, as the API names them. */
const OUTCOMES = [
  'delivered',
  'failed',
  'timeout',
  'refused',
  'dns',
  'tls',
  'reset',
  'unreachable',
  'protocol',
  'oversized',
  'address_refused',
  'invalid_url',
] as const;

const FILTERS = ['outcome', 'event_id', 'from', 'to'] as const;

/** What was sent to an endpoint: a list with filters. */
export function attemptListPage(deps: PageDeps): DashboardPage {
  return {
    method: 'GET',
    path: `${SECTION}/{id}/attempts`,
    needs: 'webhooks:read',
    async handle(visit) {
      const id = visit.request.param('id');
      const webhook = await visit.ask<Webhook>('getWebhook', { params: { id } });
      const show = (list: Listed<Attempt> | undefined, error?: AppError): ApiResponse => {
        const title = visit.text.webhooks.attempts.title;
        return stillPage(visit, deps, title, listBody(webhook, list, error, visit), error);
      };
      return orAgain(
        async () => show(await readAttempts(id, visit)),
        async (error) => show(undefined, error),
      );
    },
  };
}

function readAttempts(id: string, visit: Visit): Promise<Listed<Attempt>> {
  const filters = filtersOf(visit);
  const { from, to, ...rest } = filters;
  const cursor = visit.query.get('cursor');
  const query = {
    limit: PAGE_SIZE,
    ...rest,
    ...(from === undefined ? {} : { from: instantOf(from) }),
    ...(to === undefined ? {} : { to: instantOf(to) }),
    ...(cursor === null ? {} : { cursor }),
  };
  return visit.ask<Listed<Attempt>>('listWebhookAttempts', { params: { id }, query });
}

/** What was typed, without empty fields. */
function filtersOf({ query }: Visit): Partial<Record<(typeof FILTERS)[number], string>> {
  return Object.fromEntries(
    FILTERS.flatMap((name) => {
      const value = query.get(name)?.trim() ?? '';
      return value === '' ? [] : [[name, value]];
    }),
  );
}

function listBody(
  webhook: Webhook,
  list: Listed<Attempt> | undefined,
  error: AppError | undefined,
  visit: Visit,
): Html {
  const text = visit.text.webhooks.attempts;
  const { id } = webhook;
  return html`<p class="crumb"><a class="name" href="${visit.href(endpointPath(id))}">${nameOf(webhook)}</a></p>
<h1>${text.title}</h1>
<p class="lead">${text.lead}</p>
${doneNote(visit)}
${error && faultBox(text.refused, error, { outcome: text.outcome, event_id: text.event, from: text.from, to: text.to })}
${filterForm(id, visit)}
${list && results(id, list, visit)}`;
}

function filterForm(id: string, visit: Visit): Html {
  const text = visit.text.webhooks.attempts;
  const filters = filtersOf(visit);
  const names = visit.text.webhooks.failures;
  const titleOf = (outcome: (typeof OUTCOMES)[number]) =>
    outcome === 'delivered' ? text.delivered : outcome === 'failed' ? text.failed : names[outcome].title;
  const time = (name: 'from' | 'to', title: string) =>
    html`<div><label for="${name}">${title}</label><input id="${name}" name="${name}" type="datetime-local" value="${filters[name] ?? ''}"></div>`;
  return html`<form method="get" action="${visit.href(endpointPath(id, '/attempts'))}" class="search" role="search">
<div><label for="outcome">${text.outcome}</label><select id="outcome" name="outcome"><option value="">${text.anyOutcome}</option>
${OUTCOMES.map((each) => html`<option value="${each}"${flag('selected', filters.outcome === each)}>${titleOf(each)}</option>`)}</select></div>
<div><label for="event_id">${text.event}</label><input id="event_id" name="event_id" value="${filters.event_id ?? ''}" autocomplete="off" spellcheck="false"></div>
${time('from', text.from)}
${time('to', text.to)}
<p class="choices"><button class="primary">${text.apply}</button>
${Object.keys(filters).length === 0 ? null : html`<a class="button" href="${visit.href(endpointPath(id, '/attempts'))}">${text.reset}</a>`}</p>
</form>`;
}

function results(id: string, { data, next_cursor: next }: Listed<Attempt>, visit: Visit): Html {
  const text = visit.text.webhooks.attempts;
  const filters = filtersOf(visit);
  const isFiltered = Object.keys(filters).length > 0;
  const nothing = next === null ? (isFiltered ? text.noneFound : text.none) : text.searchGoesOn;
  return html`${data.length === 0 ? html`<p class="empty">${nothing}</p>` : table(id, data, visit)}
${listLinks(visit, { path: endpointPath(id, '/attempts'), fields: filters, next, words: { first: text.newest, next: text.older } })}`;
}

function table(id: string, attempts: readonly Attempt[], visit: Visit): Html {
  const { columns } = visit.text.webhooks.attempts;
  return html`<table class="list log"><thead><tr><th scope="col">${columns.at}</th><th scope="col">${columns.result}</th><th scope="col" class="wide">${columns.event}</th><th scope="col" class="wide number">${columns.number}</th><th scope="col" class="number">${columns.duration}</th></tr></thead>
<tbody>${attempts.map((each) => row(id, each, visit))}</tbody></table>`;
}

function row(webhookId: string, attempt: Attempt, visit: Visit): Html {
  const { id, event_id: eventId, batch, started_at: at } = attempt;
  const { number, time, utc } = visit.formats;
  const text = visit.text.webhooks;
  return html`<tr>
<th scope="row"><a href="${visit.href(endpointPath(webhookId, `/attempts/${id}`))}">${time(at)}</a> <small class="wide">${utc(at)}</small></th>
<td>${outcomeBadge(attempt, visit)}</td>
<td class="wide">${eventLink(eventId, visit)}${batch === null ? null : html` <span class="muted">${text.attempts.moreEvents(number(batch.event_count - 1))}</span>`}</td>
<td class="wide number">${number(attempt.attempt)}</td>
<td class="number">${text.details.milliseconds(number(attempt.duration_ms))}</td>
</tr>`;
}
