import { type Html, html } from '../../pages/html.ts';
import type { Live } from '../frame/live.ts';
import { statusBadge } from '../frame/parts.ts';
import type { Visit } from '../frame/visit.ts';
import type { Messages } from '../messages/messages.ts';
import { jobName, jobPath } from './export-list.ts';
import type { Export } from './export-types.ts';

type Step = keyof Messages['exports']['details']['step'];

const CHUNK_STATES = ['planned', 'reading', 'extracted', 'written'] as const;

type Counts = Readonly<Record<(typeof CHUNK_STATES)[number], number>>;

export interface Chunks {
  readonly counts: Counts;
  readonly resources: readonly {
    readonly resource: string;
    readonly counts: Counts;
    readonly rows: { readonly planned: number; readonly written: number };
  }[];
  readonly is_planned: boolean;
}

/** A job that runs or is queued before this one. */
export interface Ahead {
  readonly id: string;
  readonly status: string;
  readonly resources: string[];
  readonly format: string;
}

/** Limit of resources with chunks; unfinished ones come first. */
const MAX_RESOURCES = 20;

const MAX_AHEAD = 5;

const STEPS: readonly Step[] = ['queued', 'waiting_for_feed', 'extracting', 'assembling', 'done'];

export function stepper({ status, phase }: Export, visit: Visit): Html | null {
  const { step: names, stepState, steps } = visit.text.exports.details;
  const isEnded = status === 'completed' || status === 'expired';
  const isStopped = status === 'failed' || status === 'cancelled';
  // A stopped export also has the phase `done`, so its steps say nothing.
  if (isStopped && phase === 'done') return null;
  const at = STEPS.indexOf(phase);
  return html`<ol class="steps" aria-label="${steps}">${STEPS.map((name, index) => {
    const state = isEnded || index < at ? 'done' : index > at ? 'later' : isStopped ? 'stopped' : 'current';
    return html`<li data-state="${state}"${state === 'current' ? html` aria-current="step"` : null}>${names[name]}<span class="hidden"> (${stepState[state]})</span></li>`;
  })}</ol>`;
}

/** The jobs that a waiting export waits for. */
export function queue(details: Export, ahead: readonly Ahead[], live: Live, visit: Visit): Html {
  const text = visit.text.exports.details;
  const { number } = visit.formats;
  const hidden = ahead.length - MAX_AHEAD;
  return html`<section><p>${live.text('place', text.queued(number(details.queue_position ?? 1)))}</p>
${
  ahead.length === 0
    ? null
    : html`<p class="muted">${text.ahead}</p><ul>${ahead
        .slice(0, MAX_AHEAD)
        .map(
          (each) =>
            html`<li><a href="${visit.href(jobPath(each))}">${jobName(each, visit)}</a> ${statusBadge(each.status, visit)} <span class="id">${each.id}</span></li>`,
        )}</ul>`
}
${hidden > 0 ? html`<p class="muted">${visit.text.exports.list.more(number(hidden))}</p>` : null}
<p class="muted unscripted">${visit.text.frame.refresh}</p></section>`;
}

export function progress(details: Export, chunks: Chunks | undefined, live: Live, visit: Visit): Html {
  const text = visit.text.exports.details;
  const { number, percent, duration } = visit.formats;
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

export function chunkCounts({ counts, resources }: Chunks, live: Live, visit: Visit): Html {
  const text = visit.text.exports.details;
  return html`<section><h2>${text.chunks}</h2><dl class="tiles">${CHUNK_STATES.map(
    (state) =>
      html`<div><dt>${text.chunkCounts[state]}</dt><dd>${live.text(`chunks-${state}`, visit.formats.number(counts[state]))}</dd></div>`,
  )}</dl>
${resources.length < 2 ? null : resourceTable(resources, live, visit)}</section>`;
}

function resourceTable(resources: Chunks['resources'], live: Live, visit: Visit): Html {
  const text = visit.text.exports.details;
  const { number } = visit.formats;
  const total = ({ planned, reading, extracted, written }: Counts) => planned + reading + extracted + written;
  const isDone = ({ counts }: Chunks['resources'][number]) => counts.written === total(counts);
  const shown = [...resources].sort((a, b) => Number(isDone(a)) - Number(isDone(b))).slice(0, MAX_RESOURCES);
  const hidden = resources.length - shown.length;
  return html`<table class="list"><thead><tr><th scope="col">${text.resource}</th><th scope="col" class="wide">${text.chunks}</th><th scope="col" class="number">${text.rows}</th></tr></thead>
<tbody>${shown.map(
    ({ resource, counts, rows }) => html`<tr><th scope="row">${resource}
${live.bar(`bar-${resource}`, { value: rows.planned === 0 ? 1 : rows.written / rows.planned, label: resource })}</th>
<td class="wide">${live.text(`chunks-of-${resource}`, text.ofTotal(number(counts.written), number(total(counts))))}</td>
<td class="number">${live.text(`rows-of-${resource}`, text.ofTotal(number(rows.written), number(rows.planned)))}</td></tr>`,
  )}</tbody></table>
${hidden > 0 ? html`<p class="muted">${live.text('more-resources', visit.text.exports.list.more(number(hidden)))}</p>` : null}`;
}
