import { type Html, html } from '../../pages/html.ts';
import { resourceNames } from '../exports/export-list.ts';
import type { Export, ExportList } from '../exports/export-types.ts';
import type { Live } from '../frame/live.ts';
import { statusBadge, timeOf } from '../frame/parts.ts';
import { listLinks } from '../frame/search-form.ts';
import type { Visit } from '../frame/visit.ts';

export const SECTION = '/dashboard/verify';
export const STYLES = 'verify.css';

const PAGE_SIZE = 20;

export function readList(visit: Visit): Promise<ExportList> {
  const cursor = visit.query.get('cursor');
  const query = { limit: PAGE_SIZE, kind: 'check', ...(cursor === null ? {} : { cursor }) };
  return visit.ask<ExportList>('listExports', { query });
}

/** The checks of an account, the newest first. */
export function listBody(list: ExportList, live: Live, visit: Visit): Html {
  const text = visit.text.verify.list;
  const mayStart = visit.may('exports:write');
  const create = html`<a class="button primary" href="${visit.href(`${SECTION}/new`)}">${text.create}</a>`;
  return html`<div class="title-row"><h1>${text.title}</h1>
${mayStart && list.data.length > 0 ? create : null}</div>
<p class="lead">${text.lead}</p>
${
  list.data.length > 0
    ? table(list.data, live, visit)
    : html`<section class="empty"><p><strong>${text.none}</strong></p><p class="muted">${mayStart ? text.noneLead : text.noneReadOnly}</p>${mayStart ? html`<p>${create}</p>` : null}</section>`
}
${listLinks(visit, { path: SECTION, next: list.next_cursor, words: { first: text.newest, next: text.older } })}`;
}

function table(checks: readonly Export[], live: Live, visit: Visit): Html {
  const { columns } = visit.text.verify.list;
  const { number, percent } = visit.formats;
  const row = ({ id, status, resources, rows, progress, created_at: at }: Export) => html`<tr>
<th scope="row"><a href="${visit.href(`${SECTION}/${id}`)}">${resourceNames(resources, visit)}</a>
<small><span class="wide">${id} · </span>${timeOf(live, visit, `created-${id}`, at)}</small></th>
<td>${statusBadge(status, visit)}${status === 'running' ? html` ${live.text(`progress-${id}`, percent(progress))}` : null}</td>
<td class="number">${live.text(`rows-${id}`, number(rows.written))}</td>
</tr>`;
  return html`<table class="list"><thead><tr><th scope="col">${columns.check}</th><th scope="col">${columns.status}</th><th scope="col" class="number">${columns.records}</th></tr></thead>
<tbody>${checks.map(row)}</tbody></table>`;
}
