import type { z } from 'zod';
import { html } from '../../pages/html.ts';
import type { deadEndpointSchema } from '../../status/dead-letters.ts';
import { statusBadge } from '../frame/parts.ts';
import type { DashboardPage, VisitDeps } from '../frame/visit.ts';
import { ACCOUNTS_PATH } from './account-list.ts';
import { type PagedList, pagedList } from './paged-list.ts';
import { runbookLink } from './runbook.ts';

const LIST: PagedList<z.output<typeof deadEndpointSchema>> = {
  path: '/dashboard/operator/dead-letters',
  operationId: 'listDeadLetterEndpoints',
  title: ({ text }) => text.operator.deadLetters.title,
  body(endpoints, visit) {
    const text = visit.text.operator.deadLetters;
    const { columns } = text;
    const { number, time } = visit.formats;
    return html`<div class="title-row"><h1>${text.title}</h1>${runbookLink('endpoints', visit)}</div>
<p class="lead">${text.lead}</p>
${
  endpoints.length === 0
    ? html`<p class="empty">${text.none}</p>`
    : html`<table class="list"><thead><tr><th scope="col">${columns.endpoint}</th><th scope="col">${columns.account}</th><th scope="col" class="number">${columns.count}</th><th scope="col" class="wide">${columns.since}</th></tr></thead>
<tbody>${endpoints.map(
        (each) =>
          html`<tr><th scope="row"><span class="url">${each.url}</span><small><span class="wide">${each.webhook_id} · </span>${statusBadge(each.status, visit)}</small></th><td><a href="${visit.href(`${ACCOUNTS_PATH}/${each.account_id}`)}">${each.account_name}</a></td><td class="number">${number(each.dead_letters)}</td><td class="wide">${time(each.oldest_at)}</td></tr>`,
      )}</tbody></table>`
}`;
  },
};

/** Endpoints of all accounts for which events were given up. */
export function deadLetterPages(deps: Pick<VisitDeps, 'frameAncestors'>): DashboardPage[] {
  return [pagedList(LIST, deps)];
}
