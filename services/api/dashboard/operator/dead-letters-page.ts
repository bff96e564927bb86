import type { z } from 'zod';
import { html } from '../../pages/html.ts';
import type { deadEndpointSchema } from '../../status/dead-letters.ts';
import { dashboardPage } from '../frame/layout.ts';
import { statusBadge } from '../frame/parts.ts';
import { type DashboardPage, pageResponse, type VisitDeps } from '../frame/visit.ts';
import { ACCOUNTS_PATH } from './account-list.ts';
import { pagesOf } from './paged-list.ts';
import { runbookLink } from './runbook.ts';

const PATH = '/dashboard/operator/dead-letters';
const PAGE_SIZE = 50;

interface EndpointList {
  readonly data: readonly z.output<typeof deadEndpointSchema>[];
  readonly next_cursor: string | null;
}

/** Endpoints of all accounts for which events were given up. */
export function deadLetterPages(deps: Pick<VisitDeps, 'frameAncestors'>): DashboardPage[] {
  return [
    {
      method: 'GET',
      path: PATH,
      needs: undefined,
      async handle(visit) {
        const cursor = visit.query.get('cursor');
        const { data, next_cursor: older } = await visit.ask<EndpointList>('listDeadLetterEndpoints', {
          query: { limit: PAGE_SIZE, ...(cursor === null ? {} : { cursor }) },
        });
        const text = visit.text.operator.deadLetters;
        const { columns } = text;
        const { number, time } = visit.formats;
        const body = html`<div class="title-row"><h1>${text.title}</h1>${runbookLink('endpoints', visit)}</div>
<p class="lead">${text.lead}</p>
${
  data.length === 0
    ? html`<p class="empty">${text.none}</p>`
    : html`<table class="list"><thead><tr><th scope="col">${columns.endpoint}</th><th scope="col">${columns.account}</th><th scope="col" class="number">${columns.count}</th><th scope="col" class="wide">${columns.since}</th></tr></thead>
<tbody>${data.map(
        (each) =>
          html`<tr><th scope="row"><span class="url">${each.url}</span><small><span class="wide">${each.webhook_id} · </span>${statusBadge(each.status, visit)}</small></th><td><a href="${visit.href(`${ACCOUNTS_PATH}/${each.account_id}`)}">${each.account_name}</a></td><td class="number">${number(each.dead_letters)}</td><td class="wide">${time(each.oldest_at)}</td></tr>`,
      )}</tbody></table>`
}
${pagesOf(PATH, older, {}, visit)}`;
        const page = { title: text.title, section: PATH, styles: 'operator.css', body };
        return pageResponse(dashboardPage(visit, visit.session, page), deps);
      },
    },
  ];
}
