import type { z } from 'zod';
import type { auditSchema } from '../../admin/audit-routes.ts';
import { AUDIT_ACTIONS } from '../../http/audit-log.ts';
import { flag, type Html, html } from '../../pages/html.ts';
import { dashboardPage } from '../frame/layout.ts';
import { type DashboardPage, pageResponse, type Visit, type VisitDeps } from '../frame/visit.ts';
import { pagesOf } from './paged-list.ts';

type Entry = z.output<typeof auditSchema>;

const PATH = '/dashboard/operator/audit';
const PAGE_SIZE = 50;

/** Names of filters, as the operation has them. */
const FILTERS = ['action', 'subject_id', 'account_id'] as const;

/** The audit log of all accounts. */
export function auditPages(deps: Pick<VisitDeps, 'frameAncestors'>): DashboardPage[] {
  return [
    {
      method: 'GET',
      path: PATH,
      needs: undefined,
      async handle(visit) {
        const filter = Object.fromEntries(
          FILTERS.flatMap((name) => {
            const value = visit.query.get(name)?.trim() ?? '';
            return value === '' ? [] : [[name, value]];
          }),
        );
        const { account_id: accountId, ...query } = filter;
        const cursor = visit.query.get('cursor');
        const list = await visit.ask<{ data: Entry[]; next_cursor: string | null }>('listAuditEntries', {
          query: { limit: PAGE_SIZE, ...query, ...(cursor === null ? {} : { cursor }) },
          accountId,
        });
        const text = visit.text.operator.audit;
        const body = html`<h1>${text.title}</h1><p class="lead">${text.lead}</p>
${filterForm(filter, visit)}
${list.data.length === 0 ? html`<p class="empty">${text.none}</p>` : auditTable(list.data, visit, true)}
${pagesOf(PATH, list.next_cursor, filter, visit)}`;
        const page = { title: text.title, section: PATH, styles: 'operator.css', body };
        return pageResponse(dashboardPage(visit, visit.session, page), deps);
      },
    },
  ];
}

function filterForm(filter: Readonly<Record<string, string>>, visit: Visit): Html {
  const text = visit.text.operator.audit;
  return html`<form class="search" role="search" method="get" action="${visit.href(PATH)}">
<div><label for="action">${text.action}</label><select id="action" name="action"><option value="">${text.all}</option>${AUDIT_ACTIONS.map((action) => html`<option${flag('selected', filter.action === action)}>${action}</option>`)}</select></div>
<div><label for="subject_id">${text.subject}</label><input id="subject_id" name="subject_id" maxlength="100" value="${filter.subject_id}"></div>
<div><label for="account_id">${text.account}</label><input id="account_id" name="account_id" maxlength="100" value="${filter.account_id}"></div>
<p class="choices"><button class="primary">${text.find}</button>${Object.keys(filter).length === 0 ? null : html`<a class="button" href="${visit.href(PATH)}">${text.clear}</a>`}</p></form>`;
}

/** Entries, newest first. Those of one account need no column for it. */
export function auditTable(entries: readonly Entry[], visit: Visit, hasAccounts: boolean): Html {
  const text = visit.text.operator.audit;
  const { columns } = text;
  return html`<table class="list"><thead><tr><th scope="col">${columns.at}</th><th scope="col">${columns.action}</th><th scope="col" class="wide">${columns.actor}</th><th scope="col" class="wide">${columns.subject}</th>${hasAccounts ? html`<th scope="col" class="wide">${columns.account}</th>` : null}</tr></thead>
<tbody>${entries.map(
    (entry) =>
      html`<tr><td class="one-line">${visit.formats.time(entry.at)}</td><td><code>${entry.action}</code>${detailsHtml(entry.details)}</td><td class="wide"><span class="id">${entry.actor}</span></td><td class="wide"><span class="id">${entry.subject_id}</span></td>${hasAccounts ? html`<td class="wide">${accountLink(entry.account_id, visit)}</td>` : null}</tr>`,
  )}</tbody></table>`;
}

/** A line of details at most: they are whole in the API. */
const MAX_DETAILS = 200;

function detailsHtml(details: Entry['details']): Html | null {
  if (Object.keys(details).length === 0) return null;
  const text = JSON.stringify(details);
  return html`<small>${text.length > MAX_DETAILS ? `${text.slice(0, MAX_DETAILS)}…` : text}</small>`;
}

function accountLink(id: string | null, visit: Visit): Html | string {
  if (id === null) return visit.text.operator.audit.everyAccount;
  return html`<a class="id" href="${visit.href(`/dashboard/operator/accounts/${id}`)}">${id}</a>`;
}
