import type { z } from 'zod';
import type { bulkJobSchema, itemResultSchema } from '../../bulk/response.ts';
import { type Content, type Html, html } from '../../pages/html.ts';
import { confirmedForm, csrfField } from '../frame/layout.ts';
import type { Live } from '../frame/live.ts';
import { statusBadge, timeOf } from '../frame/parts.ts';
import type { Visit } from '../frame/visit.ts';
import { JOBS_PATH } from './job-list.ts';

export type Job = z.output<typeof bulkJobSchema>;
export type Result = z.output<typeof itemResultSchema>;

export interface JobFacts {
  readonly job: Job;
  /** For an ended job: failed items of its most frequent codes. */
  readonly samples: ReadonlyMap<string, readonly Result[]>;
}

export const OUTCOMES = ['succeeded', 'failed', 'skipped'] as const;

/** The formats of a file of results. */
const FILE_FORMATS = ['csv', 'jsonl', 'parquet'] as const;

const FORMAT_NAMES = { csv: 'CSV', jsonl: 'JSON Lines', parquet: 'Parquet' } as const;

/** Limit of error codes in the table, and of a running job's failures. */
const MAX_CODES = 20;
const MAX_LATEST = 5;

export function isEnded({ status }: Pick<Job, 'status'>): boolean {
  return status === 'completed' || status === 'failed' || status === 'cancelled';
}

/** Whether the job changes by itself within seconds. */
export function isMoving({ status }: Pick<Job, 'status'>): boolean {
  return status === 'pending' || status === 'running';
}

/** The URL of a job's results, with a filter. */
export function resultsPath(id: string, query: Readonly<Record<string, string>> = {}): string {
  const search = new URLSearchParams(query).toString();
  return `${JOBS_PATH}/${encodeURIComponent(id)}/results${search === '' ? '' : `?${search}`}`;
}

/** Everything about one job. */
export function jobBody({ job, samples }: JobFacts, live: Live, visit: Visit): Html {
  const { bulk } = visit.text;
  const text = bulk.job;
  return html`<h1>${bulk.title(job.operation, job.resource)}</h1>
<p class="states">${statusBadge(job.status, visit)} <span class="id">${job.job_id}</span> <span class="muted">${text.created} ${timeOf(live, visit, 'at', job.created_at)}</span></p>
${pausedNote(job, live, visit)}
${job.error && html`<section class="fault"><h2>${text.failedTitle}</h2><p>${job.error.message}</p><p class="muted"><code>${job.error.code}</code></p></section>`}
${progress(job, live, visit)}
${counts(job, live, visit)}
${buttons(job, visit)}
${errors(job, samples, live, visit)}
${results(job, visit)}
${facts(job, live, visit)}`;
}

function pausedNote(job: Job, live: Live, visit: Visit): Html | null {
  const text = visit.text.bulk.job;
  if (job.status !== 'paused' || job.pause_reason === undefined) return null;
  return html`<p class="note">${text.paused[job.pause_reason]}${
    job.resumes_at === undefined
      ? null
      : html` <span class="muted">${text.resumes} ${timeOf(live, visit, 'resumes', job.resumes_at)}</span>`
  }</p>`;
}

function progress(job: Job, live: Live, visit: Visit): Html | null {
  const text = visit.text.bulk.job;
  const { number, percent, duration } = visit.formats;
  if (job.queue_position !== undefined) {
    return html`<p>${live.text('place', text.queued(number(job.queue_position)))}</p>`;
  }
  if (job.status === 'pending') return html`<p>${text.listing}</p>`;
  const share = job.total === 0 ? (isEnded(job) ? 1 : 0) : job.processed / job.total;
  // With live semantics more records may join, so the total is unknown and a percentage could decrease.
  const isOpen = job.semantics === 'live' && !isEnded(job);
  const items = (isOpen ? text.itemsAbout : text.items)(number(job.processed), number(job.total));
  const left = job.eta_seconds === null || isEnded(job) ? '' : text.timeLeft(duration(job.eta_seconds));
  return html`<section class="progress job-progress"><h2 class="hidden">${text.progress}</h2>
${live.bar('progress', { value: share, label: text.progress })}
<p>${isOpen ? null : html`<strong>${live.text('percent', percent(share))}</strong> `}<span>${live.text('items', items)}</span> <span class="muted">${live.text('left', left)}</span></p>
${isMoving(job) ? html`<p class="muted unscripted">${visit.text.frame.refresh}</p>` : null}
</section>`;
}

function counts(job: Job, live: Live, visit: Visit): Html {
  const { bulk } = visit.text;
  const { number } = visit.formats;
  const tile = (name: string, value: Content, href?: string) =>
    html`<div><dt>${href === undefined ? name : html`<a href="${href}">${name}</a>`}</dt><dd>${value}</dd></div>`;
  return html`<section><h2 class="hidden">${bulk.job.counts}</h2><dl class="tiles">${OUTCOMES.map((outcome) =>
    tile(
      bulk.outcome[outcome],
      live.text(outcome, number(job[outcome])),
      visit.href(resultsPath(job.job_id, { status: outcome })),
    ),
  )}${isEnded(job) ? null : tile(bulk.job.left, live.text('rest', number(job.total - job.processed)))}</dl></section>`;
}

function buttons(job: Job, visit: Visit): Html | null {
  const text = visit.text.bulk.job;
  if (!visit.may('bulk:write')) return null;
  const button = (name: string, title: string) =>
    html`<form method="post" action="${visit.href(`${JOBS_PATH}/${job.job_id}/${name}`)}">${csrfField(visit.session)}<button>${title}</button></form>`;
  const isRetryable = isEnded(job) && job.failed > 0;
  const retry = `${newJobPath(job)}?${new URLSearchParams({ by: 'failed', failed_of: job.job_id })}`;
  const isAskedFor = job.status === 'paused' && job.pause_reason === 'requested';
  return html`<div class="choices actions">${isMoving(job) || (job.status === 'paused' && !isAskedFor) ? button('pause', text.pause) : null}
${isAskedFor ? button('resume', text.resume) : null}
${isRetryable ? html`<a class="button" href="${visit.href(retry)}">${text.retry}</a>` : null}
${
  isEnded(job)
    ? null
    : confirmedForm(visit, {
        action: visit.href(`${JOBS_PATH}/${job.job_id}/cancel`),
        title: text.cancel,
        question: text.confirmCancel,
      })
}</div>`;
}

/** The URL of the form for a new job of the same operation. */
export function newJobPath({ resource, operation }: Pick<Job, 'resource' | 'operation'>): string {
  return `${JOBS_PATH}/new/${encodeURIComponent(resource)}/${encodeURIComponent(operation)}`;
}

function errors(job: Job, samples: JobFacts['samples'], live: Live, visit: Visit): Html | null {
  const text = visit.text.bulk.job;
  const { number, percent } = visit.formats;
  const codes = job.error_summary.slice(0, MAX_CODES);
  if (codes.length === 0) return null;
  // Sorted by code while the job runs, because another order would change the page's structure again and again.
  const inOrder = isEnded(job) ? codes : codes.toSorted((a, b) => (a.code < b.code ? -1 : 1));
  return html`<section><h2>${text.errors}</h2>
<table class="list"><thead><tr><th scope="col">${text.errorColumns.code}</th><th scope="col" class="number">${text.errorColumns.items}</th><th scope="col" class="number wide">${text.errorColumns.share}</th></tr></thead>
<tbody>${inOrder.map(
    ({ code, count }) => html`<tr>
<th scope="row"><a href="${visit.href(resultsPath(job.job_id, { status: 'failed', code }))}" aria-label="${text.showItemsOf(code)}"><code>${code}</code></a>${meaningOf(code, visit)}${sampleList(samples.get(code) ?? [], code, visit)}</th>
<td class="number">${live.text(`code-${code}`, number(count))}</td>
<td class="number wide">${live.text(`share-${code}`, percent(job.failed === 0 ? 0 : count / job.failed))}</td>
</tr>`,
  )}</tbody></table>
${isEnded(job) ? null : latest(job, live, visit)}</section>`;
}

function meaningOf(code: string, { text }: Visit): Html | null {
  const meanings: Readonly<Record<string, string>> = text.bulk.codes;
  return Object.hasOwn(meanings, code) ? html`<span class="meaning">${meanings[code]}</span>` : null;
}

function sampleList(samples: readonly Result[], code: string, visit: Visit): Html | null {
  if (samples.length === 0) return null;
  return html`<ul class="samples" aria-label="${visit.text.bulk.job.samples(code)}">${samples.map(
    ({ item_id: id, message }) => html`<li><code>${id}</code> <span class="said">${message}</span></li>`,
  )}</ul>`;
}

function latest({ recent_errors: recent }: Job, live: Live, visit: Visit): Html | null {
  if (recent.length === 0) return null;
  return html`<h3>${visit.text.bulk.job.latest}</h3><ul class="samples">${recent
    .slice(0, MAX_LATEST)
    .map(
      ({ item_id: id, code, message }, index) =>
        html`<li><code>${live.text(`failure-id-${index}`, id)}</code> <span class="said">${live.text(`failure-${index}`, `${code}: ${message}`)}</span></li>`,
    )}</ul>`;
}

function results(job: Job, visit: Visit): Html | null {
  const text = visit.text.bulk;
  if (job.processed === 0 && !isEnded(job)) return null;
  return html`<section><h2>${text.job.results}</h2><p class="muted">${text.job.resultsLead}</p>
<div class="choices"><a class="button" href="${visit.href(resultsPath(job.job_id))}">${text.job.browse}</a>
${isEnded(job) ? fileLinks(job.job_id, {}, visit) : null}</div>
${isEnded(job) ? null : html`<p class="muted">${text.job.fileLater}</p>`}</section>`;
}

/** Links to the results as files. */
export function fileLinks(id: string, query: Readonly<Record<string, string>>, visit: Visit): Html[] {
  const text = visit.text.bulk.results;
  return FILE_FORMATS.map((format) => {
    const search = new URLSearchParams({ ...query, format });
    return html`<a class="button" href="${visit.href(`${resultsPath(id)}/file?${search}`)}" download>${text.downloadAs(FORMAT_NAMES[format])}</a>`;
  });
}

function facts(job: Job, live: Live, visit: Visit): Html {
  const text = visit.text.bulk.job;
  const { utc, number } = visit.formats;
  const { limit, used, resets_at: resetsAt } = job.quota;
  const entries: readonly (readonly [string, Content])[] = [
    [text.resource, job.resource],
    [text.operation, job.operation],
    [text.selection, text.semantics[job.semantics]],
    [text.created, utc(job.created_at)],
    [text.started, job.started_at && utc(job.started_at)],
    [text.ended, job.ended_at && utc(job.ended_at)],
    [
      text.quota,
      limit === null
        ? live.text('quota', text.quotaOpen(number(used)))
        : html`${live.text('quota', text.quotaOf(number(used), number(limit)))} <span class="muted">(${text.resets} ${timeOf(live, visit, 'quota-resets', resetsAt)})</span>`,
    ],
  ];
  return html`<section><h2>${text.details}</h2><dl class="facts">${entries.map(
    ([name, value]) => value && html`<div><dt>${name}</dt><dd>${value}</dd></div>`,
  )}</dl></section>`;
}
