import type { z } from 'zod';
import type { auditSchema } from '../../admin/audit-routes.ts';
import { AUDIT_ACTIONS } from '../../http/audit-log.ts';
import { flag, type Html, html } from '../../pages/html.ts';
import {
  actionName,
  detailsOf,
  type EntryLook,
  groupOf,
  type KeyNames,
  sentenceOf,
} from '../audit/sentence.ts';
import { dashboardPage } from '../frame/layout.ts';
import { listLinks, searchHref } from '../frame/search-form.ts';
import { type DashboardPage, pageResponse, type Visit, type VisitDeps } from '../frame/visit.ts';
import { ACCOUNTS_PATH } from './account-list.ts';

type Entry = z.output<typeof auditSchema>;

const PATH = '/dashboard/operator/audit';
const PAGE_SIZE = 50;

/** Names of filters, as the operation has them. */
const FILTERS = ['action', 'actor', 'subject_id', 'account_id'] as const;

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
${listLinks(visit, { path: PATH, fields: filter, next: list.next_cursor, words: visit.text.operator.list.pages })}`;
        const page = { title: text.title, section: PATH, styles: 'operator.css', body };
        return pageResponse(dashboardPage(visit, visit.session, page), deps);
      },
    },
  ];
}

function filterForm(filter: Readonly<Record<string, string>>, visit: Visit): Html {
  const text = visit.text.operator.audit;
  const sentences = sentencesOf(visit);
  const groups = Map.groupBy(AUDIT_ACTIONS, (action) => groupOf(action, visit));
  const field = (name: 'actor' | 'subject_id' | 'account_id', title: string) =>
    html`<div><label for="${name}">${title}</label><input id="${name}" name="${name}" maxlength="100" value="${filter[name]}"></div>`;
  return html`<form class="search" role="search" method="get" action="${visit.href(PATH)}">
<div><label for="action">${text.action}</label><select id="action" name="action"><option value="">${text.all}</option>${[
    ...groups,
  ].map(
    ([group, actions]) =>
      html`<optgroup label="${group}">${actions.map((action) => html`<option value="${action}"${flag('selected', filter.action === action)}>${actionName(action, sentences)}</option>`)}</optgroup>`,
  )}</select></div>
${field('actor', text.actor)}${field('subject_id', text.subject)}${field('account_id', text.account)}
<p class="choices"><button class="primary">${text.find}</button>${Object.keys(filter).length === 0 ? null : html`<a class="button" href="${visit.href(PATH)}">${text.clear}</a>`}</p></form>`;
}

/** Entries, newest first. Those of one account need no column for it. */
export function auditTable(entries: readonly Entry[], visit: Visit, hasAccounts: boolean): Html {
  const text = visit.text.operator.audit;
  const { columns } = text;
  const look = lookOf(visit);
  return html`<table class="list audit"><thead><tr><th scope="col">${columns.what}</th>${hasAccounts ? html`<th scope="col" class="wide">${columns.account}</th>` : null}<th scope="col" class="number">${columns.at}</th></tr></thead>
<tbody>${entries.map(
    (entry) =>
      html`<tr><td>${sentenceOf(entry, look, visit)}
${detailsOf(entry, look, visit)}
${hasAccounts ? html`<small><span class="narrow">${accountLink(entry.account_id, visit)}</span></small>` : null}
<details><summary>${text.original}</summary><pre tabindex="0"><code>${JSON.stringify(entry, null, 2)}</code></pre></details></td>${hasAccounts ? html`<td class="wide">${accountLink(entry.account_id, visit)}</td>` : null}<td class="number">${visit.formats.time(entry.at)}</td></tr>`,
  )}</tbody></table>`;
}

function lookOf(visit: Visit): EntryLook {
  return {
    names: NO_NAMES,
    sentences: sentencesOf(visit),
    actorHref: (actor) => searchHref(visit, PATH, { actor }),
    subjectHref: ({ subject_id: id }) =>
      id.startsWith('acct_')
        ? visit.href(`${ACCOUNTS_PATH}/${id}`)
        : searchHref(visit, PATH, { subject_id: id }),
  };
}

/** Shows each key by its ID, because names of keys are unique only in their account. */
const NO_NAMES: KeyNames = new Map();

function sentencesOf({ text }: Visit): Readonly<Record<string, string>> {
  return { ...text.audit.sentences, ...text.operator.audit.sentences };
}

function accountLink(id: string | null, visit: Visit): Html | string {
  if (id === null) return visit.text.operator.audit.everyAccount;
  return html`<a class="id" href="${visit.href(`${ACCOUNTS_PATH}/${id}`)}">${id}</a>`;
}
