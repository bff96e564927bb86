import { type Content, type Html, html } from '../../pages/html.ts';
import { confirmedForm, csrfField } from '../frame/layout.ts';
import type { Live } from '../frame/live.ts';
import { statusBadge, timeOf } from '../frame/parts.ts';
import type { Visit } from '../frame/visit.ts';
import { continueSection, type RefusedEndpoint } from './continue-feed.ts';
import { exportFiles } from './export-files.ts';
import { exportRows, jobName, jobPath } from './export-list.ts';
import { type Ahead, type Chunks, chunkCounts, progress, queue, stepper } from './export-progress.ts';
import type { Export } from './export-types.ts';
import { failureOf } from './failure.ts';

export interface ExportFacts {
  readonly details: Export;
  /** For a running or paused export. */
  readonly chunks?: Chunks | undefined;
  /** For a waiting export. */
  readonly ahead?: readonly Ahead[] | undefined;
  /** For an ended export: others of the same resources. */
  readonly others?: readonly Export[] | undefined;
}

/** Whether the export changes by itself. */
export function isMoving({ status }: Pick<Export, 'status'>): boolean {
  return status === 'pending' || status === 'running' || status === 'cancelling';
}

/** The page of one export. */
export function exportBody(
  { details, chunks, ahead, others }: ExportFacts,
  live: Live,
  visit: Visit,
  refused?: RefusedEndpoint,
): Html {
  const text = visit.text.exports.details;
  return html`<h1>${jobName(details, visit)}</h1>
<p class="states">${statusBadge(details.status, visit)} <span class="id">${details.id}</span> <span class="muted">${text.created} ${timeOf(live, visit, 'at', details.created_at)}</span></p>
${details.format === 'digest' ? html`<p class="note">${text.isCheck} <a href="${visit.href(jobPath(details))}">${text.toCheck}</a></p>` : null}
${pausedNote(details, live, visit)}
${stepper(details, visit)}
${details.status === 'pending' ? queue(details, ahead ?? [], live, visit) : isMoving(details) || details.status === 'paused' ? progress(details, chunks, live, visit) : null}
${chunks && chunkCounts(chunks, live, visit)}
${failure(details, visit)}
${exportFiles(details, visit)}
${continueSection(details, refused, visit)}
<div class="columns">
${cut(details, visit)}
${facts(details, live, visit)}
</div>
${
  others === undefined || others.length === 0
    ? null
    : html`<section><h2>${text.others}</h2>${exportRows(others, live, visit)}
<p>${details.resources.slice(0, 1).map((name) => html`<a href="${visit.href(`/dashboard/exports?resource=${encodeURIComponent(name)}`)}">${text.allWith(name)}</a>`)}</p></section>`
}
${actions(details, visit)}`;
}

function pausedNote({ status, pause_expires_at: until }: Export, live: Live, visit: Visit): Html | null {
  const text = visit.text.exports.details;
  if (status !== 'paused') return null;
  return html`<p class="note">${text.paused}${
    until === undefined
      ? null
      : html` <span class="muted">${text.pauseEnds} ${timeOf(live, visit, 'pause', until)}</span>`
  }</p>`;
}

function failure({ error }: Export, visit: Visit): Html | null {
  if (error === undefined) return null;
  const text = visit.text.exports.details;
  const kind = failureOf(error.code);
  return html`<section class="fault"><h2>${text.failed}</h2>
${kind && html`<p>${text.failures[kind]}</p>`}
<p class="muted">${error.message} <code>${error.code}</code> · <a href="${visit.href('/docs/exports')}#why-an-export-fails">${text.aboutFailures}</a></p></section>`;
}

function cut({ snapshot }: Export, visit: Visit): Html | null {
  const text = visit.text.exports.details;
  if (snapshot === null) return null;
  return html`<section><h2>${text.cut}</h2><p class="muted">${text.cutLead}</p>
<dl class="facts">
<div><dt>${text.takenAt}</dt><dd>${visit.formats.utc(snapshot.taken_at)}</dd></div>
<div><dt>${text.position}</dt><dd><code>${snapshot.lsn}</code></dd></div>
</dl></section>`;
}

function facts(details: Export, live: Live, visit: Visit): Html {
  const text = visit.text.exports.details;
  const { utc, number } = visit.formats;
  const range = details.date_range;
  const rate = details.max_rows_per_second;
  const entries: readonly (readonly [string, Content])[] = [
    [text.resources, details.resources.join(', ')],
    [text.format, details.format],
    [text.compression, details.compression === 'none' ? null : details.compression],
    [text.archive, details.archive],
    [text.changesSince, details.changes_since && idLink(details.changes_since, visit)],
    [text.asOf, details.as_of && utc(details.as_of)],
    [text.dateRange, range && text.range(utc(range.from), utc(range.to), range.field)],
    [text.fields, details.fields?.join(', ')],
    [text.deleted, details.include_deleted ? text.included : null],
    [text.rate, rate && number(rate)],
    [text.created, utc(details.created_at)],
    [text.started, details.started_at && utc(details.started_at)],
    [text.ended, details.completed_at && utc(details.completed_at)],
    [
      text.expires,
      details.expires_at &&
        html`${utc(details.expires_at)} <span class="muted">(${timeOf(live, visit, 'expires', details.expires_at)})</span>`,
    ],
  ];
  return html`<section><h2>${text.details}</h2><dl class="facts">${entries.map(
    ([name, value]) => value && html`<div><dt>${name}</dt><dd>${value}</dd></div>`,
  )}</dl></section>`;
}

function idLink(id: string, visit: Visit): Html {
  return html`<a class="id" href="${visit.href(`/dashboard/exports/${id}`)}">${id}</a>`;
}

function actions(
  { id, status, phase, snapshot, date_range: range, format }: Export,
  visit: Visit,
): Html | null {
  const text = visit.text.exports.details;
  if (!visit.may('exports:write')) return null;
  const link = (query: string, title: string) =>
    html`<a class="button" href="${visit.href(`/dashboard/exports/new?${query}`)}">${title}</a>`;
  const confirmed = (path: string, title: string, question: string) =>
    confirmedForm(visit, { action: visit.href(`/dashboard/exports/${id}/${path}`), title, question });
  if (status === 'cancelling') return null;
  if (status === 'pending' || status === 'running' || status === 'paused') {
    const button = (path: string, title: string) =>
      html`<form method="post" action="${visit.href(`/dashboard/exports/${id}/${path}`)}">${csrfField(visit.session)}<button>${title}</button></form>`;
    // A pause is not possible while a single snapshot is held.
    const isPausable = status !== 'paused' && phase !== 'assembling' && snapshot?.kind !== 'single';
    return html`<div class="choices actions">${isPausable ? button('pause', text.pause) : null}
${status === 'paused' ? button('resume', text.resume) : null}
${confirmed('cancel', text.cancel, text.confirmCancel)}</div>`;
  }
  const isBase = (status === 'completed' || status === 'expired') && range === null;
  // The form only creates files, and an export of digests has none.
  const hasForm = format !== 'digest';
  return html`<div class="actions">${hasForm ? link(`from=${id}`, text.again) : null}
${hasForm && isBase ? link(`kind=changes&changes_since=${id}`, text.onlyChanges) : null}
${status === 'completed' ? confirmed('delete', text.delete, text.confirmDelete) : null}</div>`;
}
