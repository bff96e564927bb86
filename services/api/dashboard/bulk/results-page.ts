import type { ApiResponse } from '../../http/response.ts';
import { flag, type Html, html } from '../../pages/html.ts';
import { dashboardPage } from '../frame/layout.ts';
import { listLinks } from '../frame/search-form.ts';
import { pageResponse, type Visit, type VisitDeps } from '../frame/visit.ts';
import { JOBS_PATH } from './job-list.ts';
import { fileLinks, isEnded, type Job, OUTCOMES, type Result, resultsPath } from './job-page.ts';

interface Results {
  readonly data: readonly Result[];
  readonly next_cursor: string | null;
}

const PAGE_SIZE = 50;

/** Limit of codes in the filter. */
const MAX_CODES = 20;

const TONES = { succeeded: 'green', failed: 'red', skipped: '' } as const;

/** The filter in the URL, without empty fields. */
function filterOf({ query }: Visit): Record<string, string> {
  return Object.fromEntries(
    ['status', 'code'].flatMap((name) => {
      const value = query.get(name);
      return value === null || value === '' ? [] : [[name, value]];
    }),
  );
}

/** The results of a job, page by page. They are final, so the page does not update. */
export async function resultsPage(
  visit: Visit,
  deps: Pick<VisitDeps, 'frameAncestors'>,
): Promise<ApiResponse> {
  const params = { id: visit.request.param('id') };
  const cursor = visit.query.get('cursor');
  const query = { ...filterOf(visit), limit: PAGE_SIZE, ...(cursor === null ? {} : { cursor }) };
  const job = await visit.ask<Job>('getBulkOperation', { params });
  const results = await visit.ask<Results>('listBulkResults', { params, query });
  const page = {
    title: visit.text.bulk.results.title(job.job_id),
    section: JOBS_PATH,
    styles: 'bulk.css',
    body: body(job, results, visit),
  };
  return pageResponse(dashboardPage(visit, visit.session, page), deps);
}

/** The same results as one file. A spreadsheet evaluates none of its cells. */
export function resultsFile(visit: Visit): Promise<ApiResponse> {
  const format = visit.query.get('format') ?? 'csv';
  const { status } = filterOf(visit);
  return visit.send('listBulkResults', {
    params: { id: visit.request.param('id') },
    query: {
      format,
      ...(format === 'csv' ? { csv_safe: 'true' } : {}),
      ...(status === undefined ? {} : { status }),
    },
  });
}

function body(job: Job, { data, next_cursor: next }: Results, visit: Visit): Html {
  const { bulk } = visit.text;
  const text = bulk.results;
  const filter = filterOf(visit);
  const { status } = filter;
  const path = (query: Readonly<Record<string, string>>) => visit.href(resultsPath(job.job_id, query));
  const words = { first: text.first, next: data.length === 0 && !isEnded(job) ? text.lookAgain : text.next };
  return html`<p class="crumb"><a href="${visit.href(`${JOBS_PATH}/${job.job_id}`)}">${text.back}</a></p>
<h1>${text.title(bulk.title(job.operation, job.resource))}</h1>
<p class="states"><span class="id">${job.job_id}</span></p>
<nav class="filters" aria-label="${text.filter}"><ul>
<li><a href="${path({})}"${flag('aria-current="true"', status === undefined)}>${text.all}</a></li>
${OUTCOMES.map((each) => html`<li><a href="${path({ status: each })}"${flag('aria-current="true"', status === each)}>${bulk.outcome[each]} <span class="count">${visit.formats.number(job[each])}</span></a></li>`)}
</ul></nav>
${codeFilter(job, filter, visit)}
${data.length === 0 ? html`<p class="muted">${emptyText(job, next, visit)}</p>` : table(data, filter, job, visit)}
${listLinks(visit, { path: resultsPath(job.job_id), fields: filter, next, words })}
${isEnded(job) ? html`<section><h2>${text.download}</h2><p class="muted">${text.fileNote}</p><div class="choices">${fileLinks(job.job_id, status === undefined ? {} : { status }, visit)}</div></section>` : null}`;
}

function emptyText(job: Job, next: string | null, { text }: Visit): string {
  if (next === null) return text.bulk.results.none;
  return isEnded(job) ? text.bulk.results.noneHere : text.bulk.results.noneYet;
}

function codeFilter(job: Job, { status, code }: Record<string, string>, visit: Visit): Html | null {
  const text = visit.text.bulk.results;
  if (status !== 'failed' && code === undefined) return null;
  const path = (query: Readonly<Record<string, string>>) => visit.href(resultsPath(job.job_id, query));
  const known = status === 'failed' ? job.error_summary.slice(0, MAX_CODES) : [];
  const isKnown = known.some((each) => each.code === code);
  if (status === undefined || (known.length === 0 && code === undefined)) return null;
  return html`<nav class="filters codes" aria-label="${text.filterCode}"><ul>
<li><a href="${path({ status })}"${flag('aria-current="true"', code === undefined)}>${text.allCodes}</a></li>
${known.map((each) => html`<li><a href="${path({ status, code: each.code })}"${flag('aria-current="true"', code === each.code)}>${text.code(each.code, visit.formats.number(each.count))}</a></li>`)}
${code === undefined || isKnown ? null : html`<li><a href="${path({ status, code })}" aria-current="true">${text.onlyCode(code)}</a></li>`}
</ul></nav>`;
}

function table(
  results: readonly Result[],
  filter: Readonly<Record<string, string>>,
  job: Job,
  visit: Visit,
): Html {
  const { bulk } = visit.text;
  const { columns } = bulk.results;
  const hasLines = results.some(({ line }) => line !== undefined);
  const reason = ({ status, code, message }: Result) => {
    if (code === undefined) return message;
    const path = visit.href(resultsPath(job.job_id, { status, code }));
    const name =
      filter.code === code ? html`<code>${code}</code>` : html`<a href="${path}"><code>${code}</code></a>`;
    return html`${name} <span class="said">${message}</span>`;
  };
  return html`<table class="list results"><thead><tr><th scope="col">${columns.item}</th><th scope="col" class="outcome">${columns.outcome}</th><th scope="col">${columns.reason}</th>${hasLines ? html`<th scope="col" class="number wide line">${columns.line}</th>` : null}<th scope="col" class="wide time">${columns.at}</th></tr></thead>
<tbody>${results.map(
    (result) => html`<tr>
<th scope="row"><code>${result.item_id}</code></th>
<td><span class="badge" data-tone="${TONES[result.status]}">${bulk.outcome[result.status]}</span></td>
<td>${reason(result)}</td>
${hasLines ? html`<td class="number wide">${result.line === undefined ? null : visit.formats.number(result.line)}</td>` : null}
<td class="wide muted">${visit.formats.time(result.at)}</td>
</tr>`,
  )}</tbody></table>`;
}
