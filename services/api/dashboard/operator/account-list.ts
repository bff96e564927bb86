import type { z } from 'zod';
import type { accountSchema } from '../../admin/account-schemas.ts';
import { type Html, html } from '../../pages/html.ts';
import { dashboardPage } from '../frame/layout.ts';
import { listLinks } from '../frame/search-form.ts';
import { type DashboardPage, pageResponse, type Visit, type VisitDeps } from '../frame/visit.ts';

export type Account = z.output<typeof accountSchema>;

export const ACCOUNTS_PATH = '/dashboard/operator/accounts';
const PAGE_SIZE = 25;

interface AccountList {
  readonly data: readonly Account[];
  readonly next_cursor: string | null;
}

/** All accounts, found by name and ID. */
export function accountListPages(deps: Pick<VisitDeps, 'frameAncestors'>): DashboardPage[] {
  return [
    {
      method: 'GET',
      path: ACCOUNTS_PATH,
      needs: undefined,
      async handle(visit) {
        const search = visit.query.get('search')?.trim() ?? '';
        const cursor = visit.query.get('cursor');
        const list = await visit.ask<AccountList>('listAccounts', {
          query: {
            limit: PAGE_SIZE,
            ...(search === '' ? {} : { search }),
            ...(cursor === null ? {} : { cursor }),
          },
        });
        const page = {
          title: visit.text.operator.accounts.title,
          section: ACCOUNTS_PATH,
          styles: 'operator.css',
          body: listBody(list, search, visit),
        };
        return pageResponse(dashboardPage(visit, visit.session, page), deps);
      },
    },
  ];
}

function listBody({ data, next_cursor: next }: AccountList, search: string, visit: Visit): Html {
  const text = visit.text.operator.accounts;
  const { columns } = text;
  return html`<div class="title-row"><h1>${text.title}</h1>
<a class="button primary" href="${visit.href(`${ACCOUNTS_PATH}/new`)}">${text.create}</a></div>
<form class="search" role="search" method="get" action="${visit.href(ACCOUNTS_PATH)}">
<div><label for="search">${text.search}</label><input id="search" name="search" type="search" maxlength="200" value="${search}"></div>
<p class="choices"><button class="primary">${text.find}</button>${search === '' ? null : html`<a class="button" href="${visit.href(ACCOUNTS_PATH)}">${text.all}</a>`}</p></form>
${
  data.length === 0
    ? html`<p class="empty">${search === '' ? text.none : text.noMatch}</p>`
    : html`<table class="list"><thead><tr><th scope="col">${columns.account}</th><th scope="col" class="wide">${columns.sourceId}</th><th scope="col" class="wide">${columns.limits}</th><th scope="col">${columns.quota}</th></tr></thead>
<tbody>${data.map((account) => row(account, visit))}</tbody></table>`
}
${listLinks(visit, { path: ACCOUNTS_PATH, fields: { search }, next, words: visit.text.operator.list.pages })}`;
}

function row({ id, name, source_id: sourceId, limits, created_at: created }: Account, visit: Visit): Html {
  const text = visit.text.operator.accounts;
  const { number } = visit.formats;
  return html`<tr>
<th scope="row"><a href="${visit.href(`${ACCOUNTS_PATH}/${id}`)}">${name}</a><small><span class="wide">${id} · </span>${visit.formats.time(created)}</small></th>
<td class="wide">${sourceId}</td>
<td class="wide">${text.running(number(limits.max_running_exports), number(limits.max_running_bulk_operations))}</td>
<td>${quotaText(limits.bulk_quota, visit)}</td>
</tr>`;
}

/** A quota in words: `10,000 items a month`. */
export function quotaText({ items, period }: Account['limits']['bulk_quota'], visit: Visit): string {
  const { accounts, account } = visit.text.operator;
  const { number, duration } = visit.formats;
  if (items === null) return accounts.unlimited;
  const per =
    typeof period === 'string' ? accounts.per[period] : accounts.per.fixed(duration(period.seconds));
  return account.quotaOf(number(items), per);
}
