import type { z } from 'zod';
import type { bulkJobSchema } from '../../bulk/response.ts';
import { flag, type Html, html } from '../../pages/html.ts';
import type { Live } from '../frame/live.ts';
import { statusBadge, timeOf } from '../frame/parts.ts';
import { listLinks } from '../frame/search-form.ts';
import type { Visit } from '../frame/visit.ts';

type Job = z.output<typeof bulkJobSchema>;

export interface JobList {
  readonly data: readonly Job[];
  readonly next_cursor: string | null;
}

export const JOBS_PATH = '/dashboard/bulk';
export const JOBS_PER_PAGE = 20;

const STATUSES = ['pending', 'running', 'paused', 'completed', 'failed', 'cancelled'] as const;

/** The list of jobs, with a filter by status. */
export function jobListBody({ data: jobs, next_cursor: next }: JobList, live: Live, visit: Visit): Html {
  const text = visit.text.bulk.list;
  const status = visit.query.get('status');
  const path = (query: Readonly<Record<string, string>>) => {
    const search = new URLSearchParams(query).toString();
    return visit.href(search === '' ? JOBS_PATH : `${JOBS_PATH}?${search}`);
  };
  return html`<div class="title-row"><h1>${text.title}</h1>
${visit.may('bulk:write') ? html`<a class="button primary" href="${visit.href(`${JOBS_PATH}/new`)}">${text.create}</a>` : null}</div>
<nav class="filters" aria-label="${text.filter}"><ul>
<li><a href="${path({})}"${flag('aria-current="true"', status === null)}>${text.all}</a></li>
${STATUSES.map((each) => html`<li><a href="${path({ status: each })}"${flag('aria-current="true"', status === each)}>${visit.text.frame.status[each]}</a></li>`)}
</ul></nav>
${jobs.length === 0 ? html`<p class="empty">${status === null ? text.none : text.noneOfStatus}</p>` : jobTable(jobs, live, visit)}
${listLinks(visit, { path: JOBS_PATH, fields: { status }, next, words: { first: text.newest, next: text.older } })}`;
}

function jobTable(jobs: readonly Job[], live: Live, visit: Visit): Html {
  const { columns } = visit.text.bulk.list;
  return html`<table class="list"><thead><tr><th scope="col">${columns.job}</th><th scope="col">${columns.status}</th><th scope="col" class="number wide">${columns.failed}</th><th scope="col" class="number">${columns.items}</th></tr></thead>
<tbody>${jobs.map((job) => row(job, live, visit))}</tbody></table>`;
}

function row(job: Job, live: Live, visit: Visit): Html {
  const { job_id: id, status, processed, total, failed } = job;
  const { number, percent } = visit.formats;
  const { bulk: text } = visit.text;
  return html`<tr>
<th scope="row"><a href="${visit.href(`${JOBS_PATH}/${id}`)}">${text.title(job.operation, job.resource)}</a>
<small><span class="wide">${id} · </span>${timeOf(live, visit, `created-${id}`, job.created_at)}</small></th>
<td>${statusBadge(status, visit)}${status === 'running' ? html` ${live.text(`progress-${id}`, percent(total === 0 ? 0 : processed / total))}` : null}</td>
<td class="number wide">${live.text(`failed-${id}`, number(failed))}</td>
<td class="number">${live.text(`items-${id}`, text.countOf(number(processed), number(total)))}</td>
</tr>`;
}
