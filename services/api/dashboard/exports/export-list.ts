import { type Html, html } from '../../pages/html.ts';
import type { Live } from '../frame/live.ts';
import { statusBadge, timeOf } from '../frame/parts.ts';
import type { Visit } from '../frame/visit.ts';
import type { Export } from './export-types.ts';

/** Limit of resource names in a row. */
const MAX_RESOURCES = 3;

/** The table of some exports. */
export function exportRows(exports: readonly Export[], live: Live, visit: Visit): Html {
  const { columns, none } = visit.text.exports.list;
  if (exports.length === 0) return html`<p class="empty">${none}</p>`;
  return html`<table class="list"><thead><tr><th scope="col">${columns.export}</th><th scope="col">${columns.status}</th><th scope="col" class="wide">${columns.format}</th><th scope="col" class="number">${columns.rows}</th></tr></thead>
<tbody>${exports.map((each) => row(each, live, visit))}</tbody></table>`;
}

function row(each: Export, live: Live, visit: Visit): Html {
  const { id, status, resources, format, rows, created_at: createdAt } = each;
  const { number, percent } = visit.formats;
  const isRunning = status === 'running';
  return html`<tr>
<th scope="row"><a href="${visit.href(`/dashboard/exports/${id}`)}">${resourceNames(resources, visit)}</a>
<small><span class="wide">${id} · </span>${timeOf(live, visit, `created-${id}`, createdAt)}</small></th>
<td>${statusBadge(status, visit)}${isRunning ? html` ${live.text(`progress-${id}`, percent(each.progress))}` : null}</td>
<td class="wide">${format}</td>
<td class="number">${live.text(`rows-${id}`, number(rows.written))}</td>
</tr>`;
}

/** The name of a job: an export is named by its resources, a check of a replica as such. */
export function jobName(
  { resources, format }: Pick<Export, 'resources'> & { readonly format: string },
  visit: Pick<Visit, 'formats' | 'text'>,
): string {
  const names = resourceNames(resources, visit);
  return format === 'digest' ? visit.text.verify.details.title(names) : names;
}

/** The URL of a job's page. Checks have pages of their own. */
export function jobPath({ id, format }: { readonly id: string; readonly format: string }): string {
  return `/dashboard/${format === 'digest' ? 'verify' : 'exports'}/${id}`;
}

export function resourceNames(
  resources: readonly string[],
  { formats, text }: Pick<Visit, 'formats' | 'text'>,
): string {
  const shown = resources.slice(0, MAX_RESOURCES).join(', ');
  const rest = resources.length - MAX_RESOURCES;
  return rest > 0 ? `${shown} ${text.exports.list.more(formats.number(rest))}` : shown;
}
