import { type Content, type Html, html } from '../../pages/html.ts';
import { confirmedForm } from '../frame/layout.ts';
import type { Live } from '../frame/live.ts';
import { statusBadge, timeOf } from '../frame/parts.ts';
import type { Visit } from '../frame/visit.ts';
import type { Messages } from '../messages/messages.ts';
import { resourceNames } from './export-list.ts';
import type { Export, ExportFile } from './export-types.ts';

type Step = keyof Messages['exports']['details']['step'];

const CHUNK_STATES = ['planned', 'reading', 'extracted', 'written'] as const;

export interface ChunkCounts {
  readonly counts: Readonly<Record<(typeof CHUNK_STATES)[number], number>>;
  readonly is_planned: boolean;
}

export interface ExportFacts {
  readonly details: Export;
  /** Of a running export. */
  readonly chunks: ChunkCounts | undefined;
}

const STEPS: readonly Step[] = ['queued', 'waiting_for_feed', 'extracting', 'assembling', 'done'];

/** Whether it changes by itself. */
export function isMoving({ status }: Pick<Export, 'status'>): boolean {
  return status === 'pending' || status === 'running' || status === 'cancelling';
}

/** Everything about one export. */
export function exportBody({ details, chunks }: ExportFacts, live: Live, visit: Visit): Html {
  const text = visit.text.exports.details;
  return html`<h1>${resourceNames(details.resources, visit)}</h1>
<p class="states">${statusBadge(details.status, visit)} <span class="id">${details.id}</span> <span class="muted">${text.created} ${timeOf(live, visit, 'at', details.created_at)}</span></p>
${stepper(details, visit)}
${isMoving(details) ? progress(details, chunks, live, visit) : null}
${chunks && chunkCounts(chunks, live, visit)}
${details.error && html`<section class="fault"><h2>${text.failed}</h2><p>${details.error.message}</p><p class="muted"><code>${details.error.code}</code></p></section>`}
${files(details, visit)}
<div class="columns">
${cut(details, visit)}
${facts(details, live, visit)}
</div>
${actions(details, visit)}`;
}

function stepper({ status, phase }: Export, visit: Visit): Html {
  const { step: names, stepState, steps } = visit.text.exports.details;
  const isEnded = status === 'completed' || status === 'expired';
  const isStopped = status === 'failed' || status === 'cancelled';
  // The phase of an export that was stopped is `done` too: its steps tell nothing.
  if (isStopped && phase === 'done') return html``;
  const at = STEPS.indexOf(phase);
  return html`<ol class="steps" aria-label="${steps}">${STEPS.map((name, index) => {
    const state = isEnded || index < at ? 'done' : index > at ? 'later' : isStopped ? 'stopped' : 'current';
    return html`<li data-state="${state}"${state === 'current' ? html` aria-current="step"` : null}>${names[name]}<span class="hidden"> (${stepState[state]})</span></li>`;
  })}</ol>`;
}

function progress(details: Export, chunks: ChunkCounts | undefined, live: Live, visit: Visit): Html {
  const text = visit.text.exports.details;
  const { number, percent, duration } = visit.formats;
  if (details.status === 'pending') {
    const place = details.queue_position ?? 1;
    return html`<p>${live.text('place', text.queued(number(place)))}</p>`;
  }
  const { estimated, written } = details.rows;
  const rows =
    estimated === null
      ? text.rowsOnly(number(written), written)
      : text.rowsAbout(number(written), number(estimated));
  const left = details.eta_seconds === null ? '' : text.timeLeft(duration(details.eta_seconds));
  return html`<section class="progress"><h2 class="hidden">${text.progress}</h2>
${live.bar('progress', { value: details.progress, label: text.progress })}
<p><strong>${live.text('percent', percent(details.progress))}</strong> <span>${live.text('rows', rows)}</span> <span class="muted">${live.text('left', left)}</span></p>
${chunks?.is_planned === false ? html`<p class="muted">${text.chunksGrow}</p>` : null}
<p class="muted unscripted">${visit.text.frame.refresh}</p>
</section>`;
}

function chunkCounts({ counts }: ChunkCounts, live: Live, visit: Visit): Html {
  const text = visit.text.exports.details;
  return html`<section><h2>${text.chunks}</h2><dl class="tiles">${CHUNK_STATES.map(
    (state) =>
      html`<div><dt>${text.chunkCounts[state]}</dt><dd>${live.text(`chunks-${state}`, visit.formats.number(counts[state]))}</dd></div>`,
  )}</dl></section>`;
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
  const { utc } = visit.formats;
  const range = details.date_range;
  const entries: readonly (readonly [string, Content])[] = [
    [text.resources, details.resources.join(', ')],
    [text.format, details.format],
    [text.compression, details.compression === 'none' ? null : details.compression],
    [text.changesSince, details.changes_since && idLink(details.changes_since, visit)],
    [text.asOf, details.as_of && utc(details.as_of)],
    [text.dateRange, range && text.range(utc(range.from), utc(range.to))],
    [text.fields, details.fields?.join(', ')],
    [text.deleted, details.include_deleted ? text.included : null],
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

function files(details: Export, visit: Visit): Html | null {
  const text = visit.text.exports.details;
  if (details.status !== 'completed') return null;
  return html`<section><h2>${text.files}</h2>
<ul class="files">${details.files.map((file) => fileEntry(details, file, visit))}</ul>
<p><a href="${visit.href(`/dashboard/exports/${details.id}/files/manifest.json`)}" download>${text.manifest}</a></p>
<div class="code" data-copy><div class="code-head">${text.curl}</div><pre tabindex="0"><code>${details.files.map(curlOf).join('\n')}</code></pre></div>
</section>`;
}

function fileEntry({ id }: Export, file: ExportFile, visit: Visit): Html {
  const text = visit.text.exports.details;
  const { number, bytes } = visit.formats;
  const path = `/dashboard/exports/${id}/files/${encodeURIComponent(file.name)}`;
  return html`<li>
<div class="file"><strong>${file.name}</strong> <span class="muted">${text.rowsOnly(number(file.rows), file.rows)} · ${bytes(file.bytes)}</span>
<a class="button" href="${visit.href(path)}" download aria-label="${text.downloadFile(file.name)}">${text.download}</a></div>
<div class="checksum muted">${text.checksum} <code>${file.sha256}</code></div>
</li>`;
}

/** A command that works as long as the file is kept: the link needs the key, and leads to a new presigned one. */
function curlOf({ name, content_url: url }: ExportFile): string {
  const quoted = (word: string) => `'${word.replaceAll("'", `'\\''`)}'`;
  return [
    'curl --fail --location --header "Authorization: Bearer $TANDEM_KEY"',
    `--output ${quoted(name)}`,
    quoted(url),
  ].join(' \\\n  ');
}

function actions({ id, status }: Export, visit: Visit): Html | null {
  const text = visit.text.exports.details;
  if (!visit.may('exports:write')) return null;
  if (status === 'pending' || status === 'running') {
    return confirmedForm(visit, {
      action: visit.href(`/dashboard/exports/${id}/cancel`),
      title: text.cancel,
      question: text.confirmCancel,
    });
  }
  if (status !== 'completed') return null;
  return confirmedForm(visit, {
    action: visit.href(`/dashboard/exports/${id}/delete`),
    title: text.delete,
    question: text.confirmDelete,
  });
}
