import { type Html, html } from '../../pages/html.ts';
import type { Live } from '../frame/live.ts';
import type { Visit } from '../frame/visit.ts';
import { axisEnd, type Traffic } from './traffic.ts';

/** Units of the picture, which is stretched to the width of the page. */
const COLUMN = 10;
const GAP = 2;
const HEIGHT = 160;

/** Least height of a column that is not empty, so that it is visible. */
const LOWEST = 2;

/** The times below the chart, from its start to its end. */
const TIMES = 4;

/** Deliveries over time, as a chart and as a table for screen readers. */
export function trafficChart(traffic: readonly Traffic[], live: Live, visit: Visit): Html {
  const text = visit.text.webhooks.details;
  const { number } = visit.formats;
  const end = axisEnd(Math.max(...traffic.map(({ delivered, failed }) => delivered + failed)));
  const width = traffic.length * COLUMN;
  const sum = (series: 'delivered' | 'failed') =>
    number(traffic.reduce((total, each) => total + each[series], 0));
  const times = Array.from({ length: TIMES }, (_, index) => traffic[(index * traffic.length) / TIMES]);
  const line = (y: number) =>
    html`<line x1="0" x2="${width}" y1="${y}" y2="${y}" vector-effect="non-scaling-stroke"></line>`;
  return html`<figure class="chart">
<figcaption><span class="key" data-series="delivered">${text.delivered}</span> <span class="key" data-series="failed">${text.columns.failed}</span>
<span class="hidden">${live.text('chart-label', text.chartLabel(sum('delivered'), sum('failed')))}</span></figcaption>
<div class="plot"><div class="axis" aria-hidden="true">${[end, end / 2, 0].map((value, index) => live.text(`axis-${index}`, number(value)))}</div>
<svg viewBox="0 0 ${width} ${HEIGHT}" preserveAspectRatio="none" aria-hidden="true">${[0.5, HEIGHT / 2, HEIGHT - 0.5].map(line)}
${traffic.map((each, index) => columns(each, index * COLUMN, end, live))}</svg>
<div class="times" aria-hidden="true">${times.map((each) => each && html`<span>${timeOf(each.atMs, traffic, visit)}</span>`)}</div></div>
<details><summary>${text.chartTable}</summary>${table(traffic, live, visit)}</details>
</figure>`;
}

function columns({ atMs, delivered, failed }: Traffic, x: number, end: number, live: Live): Html {
  const heightOf = (value: number) =>
    value === 0 ? 0 : Math.max(LOWEST, Math.round((value / end) * HEIGHT * 10) / 10);
  const [good, bad] = [heightOf(delivered), heightOf(failed)];
  const place = { x: x + GAP / 2, width: COLUMN - GAP };
  // Failed deliveries are stacked on delivered ones.
  return html`${live.column(`delivered-${atMs}`, { ...place, y: HEIGHT - good, height: good, series: 'delivered' })}${live.column(`failed-${atMs}`, { ...place, y: Math.max(0, HEIGHT - good - bad), height: bad, series: 'failed' })}`;
}

function table(traffic: readonly Traffic[], live: Live, visit: Visit): Html {
  const { columns: names } = visit.text.webhooks.details;
  const { number } = visit.formats;
  return html`<div class="table chart-table" tabindex="0" role="region" aria-label="${visit.text.webhooks.details.chart}"><table><thead><tr><th scope="col">${names.from}</th><th scope="col" class="number">${names.delivered}</th><th scope="col" class="number">${names.failed}</th></tr></thead>
<tbody>${traffic
    .toReversed()
    .map(
      ({ atMs, delivered, failed }) =>
        html`<tr><th scope="row">${visit.formats.utc(new Date(atMs).toISOString())}</th><td class="number">${live.text(`d-${atMs}`, number(delivered))}</td><td class="number">${live.text(`f-${atMs}`, number(failed))}</td></tr>`,
    )}</tbody></table></div>`;
}

const DAY_MS = 86_400_000;

/** The label of a time: the hour in a chart of a day, the date in a chart of a week. */
function timeOf(atMs: number, traffic: readonly Traffic[], { locale }: Visit): string {
  const isOfDays = (traffic.at(-1)?.atMs ?? 0) - (traffic[0]?.atMs ?? 0) > DAY_MS;
  const form = isOfDays ? ({ day: 'numeric', month: 'short' } as const) : ({ timeStyle: 'short' } as const);
  return new Intl.DateTimeFormat(locale, { ...form, timeZone: 'UTC' }).format(atMs);
}
