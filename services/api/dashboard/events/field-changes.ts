import { ExactNumber } from '../../../../shared/domain/exact-json.ts';
import { type Html, html } from '../../pages/html.ts';
import type { Visit } from '../frame/visit.ts';
import { shortened } from './event-names.ts';

/** A field before and after a change. Undefined: the event does not have the value. */
export interface FieldChange {
  readonly name: string;
  readonly before: unknown;
  readonly after: unknown;
}

/** Limit of fields in the table. A table of PostgreSQL has up to 1,600 columns. */
const MAX_FIELDS = 200;

/** Limit of a value's length. The payload shows more of it. */
const MAX_VALUE = 1_000;

/** The fields that changed, in the order of the record. */
export function changesOf(
  data: Readonly<Record<string, unknown>>,
  previous: Readonly<Record<string, unknown>>,
): FieldChange[] {
  const names = new Set([...Object.keys(data), ...Object.keys(previous)]);
  return [...names]
    .filter((name) => Object.hasOwn(previous, name))
    .map((name) => ({ name, before: previous[name], after: data[name] }));
}

/**
 * Splits two texts into a common start, a common end and the difference: `paid today` and `sent today` differ in `paid`
 * and `sent`. Never splits a surrogate pair.
 */
export function splitDifference(
  before: string,
  after: string,
): { start: number; beforeEnd: number; afterEnd: number } {
  const most = Math.min(before.length, after.length);
  let start = 0;
  while (start < most && before[start] === after[start]) start += 1;
  if (isInside(before, start) || isInside(after, start)) start -= 1;
  let same = 0;
  while (same < most - start && before.at(-1 - same) === after.at(-1 - same)) same += 1;
  if (isInside(before, before.length - same) || isInside(after, after.length - same)) same -= 1;
  return { start, beforeEnd: before.length - same, afterEnd: after.length - same };
}

/** Whether the index is inside a surrogate pair. */
function isInside(text: string, index: number): boolean {
  return (
    index > 0 &&
    index < text.length &&
    text.charCodeAt(index) >> 10 === 0x37 &&
    text.charCodeAt(index - 1) >> 10 === 0x36
  );
}

/** The table of what changed. */
export function changeTable(changes: readonly FieldChange[], visit: Visit): Html {
  const text = visit.text.events.details;
  const rest = changes.length - MAX_FIELDS;
  return html`<div class="table"><table class="changes"><thead><tr><th scope="col">${text.field}</th><th scope="col">${text.before}</th><th scope="col">${text.after}</th></tr></thead>
<tbody>${changes.slice(0, MAX_FIELDS).map((change) => row(change, visit))}</tbody></table></div>
${rest > 0 ? html`<p class="muted">${text.moreFields(visit.formats.number(rest))}</p>` : null}`;
}

function row({ name, before, after }: FieldChange, visit: Visit): Html {
  const text = visit.text.events.details;
  const areTexts = typeof before === 'string' && typeof after === 'string';
  const part = areTexts ? splitDifference(before, after) : undefined;
  return html`<tr><th scope="row"><code>${name}</code></th>
<td data-label="${text.before}">${valueHtml(before, part && [part.start, part.beforeEnd], 'del', visit)}</td>
<td data-label="${text.after}">${valueHtml(after, part && [part.start, part.afterEnd], 'ins', visit)}</td></tr>`;
}

type Part = readonly [start: number, end: number];

function valueHtml(value: unknown, part: Part | undefined, mark: 'del' | 'ins', visit: Visit): Html {
  const text = visit.text.events.details;
  if (value === undefined) return html`<span class="muted">${text.notSent}</span>`;
  if (value === '') return html`<span class="muted">${text.empty}</span>`;
  if (value === null) return html`<code>null</code>`;
  if (typeof value !== 'string') {
    const shown = value instanceof ExactNumber ? value.digits : JSON.stringify(value);
    return marked(shortened(shown, MAX_VALUE), mark);
  }
  if (part === undefined || value.length > MAX_VALUE) return marked(shortened(value, MAX_VALUE), mark);
  const [start, end] = part;
  return html`<span class="value">${value.slice(0, start)}${start === end ? null : marked(value.slice(start, end), mark)}${value.slice(end)}</span>`;
}

function marked(value: string, mark: 'del' | 'ins'): Html {
  return mark === 'del' ? html`<del class="value">${value}</del>` : html`<ins class="value">${value}</ins>`;
}
