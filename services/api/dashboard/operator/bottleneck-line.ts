import { type Html, html } from '../../pages/html.ts';
import type { BottleneckCode } from '../../status/bottleneck-codes.ts';
import type { Live } from '../frame/live.ts';
import type { Visit } from '../frame/visit.ts';
import { FAILING_PATH } from './failing-endpoints-page.ts';
import { runbookEntry, runbookLink } from './runbook.ts';
import { badge, type Status } from './status-parts.ts';

type Bottleneck = Status['bottlenecks'][number];

/** What the value of a code measures. */
const UNITS: Readonly<Partial<Record<BottleneckCode, 'seconds' | 'bytes'>>> = {
  feed_gap: 'seconds',
  capture_idle: 'seconds',
  feed_stalled: 'seconds',
  open_transaction: 'seconds',
  source_full: 'bytes',
  capture_behind: 'bytes',
};

/** Why it is slow: the first cause with what to do, and what is behind it. */
export function bottlenecksHtml({ bottlenecks }: Status, live: Live, visit: Visit): Html {
  const text = visit.text.operator.status;
  const [first, ...rest] = bottlenecks;
  if (first === undefined) {
    return html`<section class="slow" data-tone="green"><h2>${text.slow}</h2><p>${badge('green', text.nothing)}</p></section>`;
  }
  const entry = runbookEntry(first.code, visit);
  return html`<section class="slow" data-tone="red"><div class="title-row"><h2>${text.slow}</h2>${runbookLink('slow', visit)}</div>
<p class="cause">${sentence(first, live, visit)}${placesOf(first, visit)}</p>
${entry && html`<p><strong>${text.action}</strong> <span lang="en">${entry.action}</span></p>`}
${rest.length === 0 ? null : html`<h3>${text.also}</h3><ul>${rest.map((each) => html`<li>${sentence(each, live, visit)}${placesOf(each, visit)}${further(each, visit)}</li>`)}</ul>`}</section>`;
}

/** A link to the page that lists what the cause counts. */
function placesOf({ code }: Bottleneck, visit: Visit): Html | null {
  if (code !== 'receivers_failing') return null;
  return html` <a href="${visit.href(FAILING_PATH)}">${visit.text.operator.status.showFailing}</a>`;
}

function sentence(each: Bottleneck, live: Live, visit: Visit): Html {
  const { code, subject } = each;
  return live.text(
    `slow-${code}-${subject ?? ''}`,
    visit.text.operator.bottleneck[code](measured(each, visit), subject ?? ''),
  );
}

function further({ code }: Bottleneck, visit: Visit): Html | null {
  const entry = runbookEntry(code, visit);
  return entry === undefined ? null : html`<br><small class="muted" lang="en">${entry.action}</small>`;
}

function measured({ code, value }: Bottleneck, { formats }: Visit): string {
  const unit = UNITS[code];
  if (unit === 'seconds') return formats.duration(value);
  return unit === 'bytes' ? formats.bytes(value) : formats.number(value);
}
