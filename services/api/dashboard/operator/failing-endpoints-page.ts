import type { z } from 'zod';
import { type Html, html } from '../../pages/html.ts';
import type { failingEndpointSchema } from '../../status/failing-endpoints.ts';
import type { DashboardPage, Visit, VisitDeps } from '../frame/visit.ts';
import { backlogWords, disabledWords, healthBadge, outcomeWords } from '../webhooks/webhook-parts.ts';
import { ACCOUNTS_PATH } from './account-list.ts';
import { type PagedList, pagedList } from './paged-list.ts';
import { runbookLink } from './runbook.ts';

export const FAILING_PATH = '/dashboard/operator/failing-endpoints';

type FailingEndpoint = z.output<typeof failingEndpointSchema>;

const LIST: PagedList<FailingEndpoint> = {
  path: FAILING_PATH,
  operationId: 'listFailingEndpoints',
  title: ({ text }) => text.operator.failingEndpoints.title,
  words: ({ text }) => text.operator.failingEndpoints.pages,
  body(endpoints, visit) {
    const text = visit.text.operator.failingEndpoints;
    const { columns } = text;
    return html`<div class="title-row"><h1>${text.title}</h1>${runbookLink('endpoints', visit)}</div>
<p class="lead">${text.lead}</p>
${
  endpoints.length === 0
    ? html`<p class="empty">${text.none}</p>`
    : html`<table class="list failing"><thead><tr><th scope="col">${columns.endpoint}</th><th scope="col" class="wide">${columns.account}</th><th scope="col">${columns.state}</th><th scope="col" class="wide">${columns.behind}</th></tr></thead>
<tbody>${endpoints.map((each) => row(each, visit))}</tbody></table>`
}`;
  },
};

/** Endpoints of all accounts that fail or were disabled. */
export function failingEndpointPages(deps: Pick<VisitDeps, 'frameAncestors'>): DashboardPage[] {
  return [pagedList(LIST, deps)];
}

/** On a phone the account and the backlog are shown below the URL. */
function row(endpoint: FailingEndpoint, visit: Visit): Html {
  const text = visit.text.operator.failingEndpoints;
  const { url, status, status_reason: reason, since, last_failure: last, behind_by: behind } = endpoint;
  const account = html`<a href="${visit.href(`${ACCOUNTS_PATH}/${endpoint.account_id}`)}">${endpoint.account_name}</a>`;
  const backlog = backlogWords(behind, visit);
  return html`<tr><th scope="row"><span class="url">${url}</span><small><span class="wide">${endpoint.webhook_id}</span><span class="narrow">${account}</span></small></th>
<td class="wide">${account}</td>
<td>${healthBadge({ status, failing_since: since }, visit)} <small>${text.since} ${visit.formats.time(since)}</small>
${status === 'disabled' && reason !== null ? html`<small>${disabledWords(reason, visit)}</small>` : null}
${last && html`<small>${outcomeWords(last, visit)} · ${visit.formats.time(last.at)}</small>`}
<small><span class="narrow">${text.columns.behind}: ${backlog.count}</span></small></td>
<td class="wide">${backlog.count}${backlog.age === '' ? null : html`<small>${backlog.age}</small>`}</td></tr>`;
}
