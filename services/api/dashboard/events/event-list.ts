import type { z } from 'zod';
import type { AppError } from '../../../../shared/runtime/errors.ts';
import type { eventTypeSchema } from '../../catalog/schemas.ts';
import type { eventSchema } from '../../events/event-schemas.ts';
import { flag, type Html, html } from '../../pages/html.ts';
import { faultBox } from '../frame/fault-box.ts';
import { listLinks, searchFields, timeRange } from '../frame/search-form.ts';
import type { Visit } from '../frame/visit.ts';
import { describeRecord, verbBadge } from './event-names.ts';

export type Event = z.output<typeof eventSchema> & { readonly previous?: Readonly<Record<string, unknown>> };
export type EventType = z.output<typeof eventTypeSchema>;

export const SECTION = '/dashboard/events';

/** Names of the form's fields in the URL. */
export const SEARCH_FIELDS = ['type', 'key', 'from', 'to'] as const;

/** Limit of changed fields named in a row. */
const MAX_FIELDS = 4;

export interface EventList {
  readonly types: readonly EventType[];
  readonly found: { readonly data: readonly Event[]; readonly next_cursor: string | null } | undefined;
  /** Why no search was made. */
  readonly error?: AppError | undefined;
}

/** The search form and its results. */
export function eventListBody({ types, found, error }: EventList, visit: Visit): Html {
  const text = visit.text.events.list;
  return html`<h1>${text.title}</h1>
<p class="muted">${text.lead}</p>
${searchForm(types, visit)}
${error && faultBox(text.refused, error, { type: text.type, key: text.key, from: text.range.from, to: text.range.to })}
${found && results(found, visit)}`;
}

function searchForm(types: readonly EventType[], visit: Visit): Html {
  const text = visit.text.events.list;
  const fields = searchFields(visit, SEARCH_FIELDS);
  const option = (value: string, title: string) =>
    html`<option value="${value}"${flag('selected', fields.type === value)}>${title}</option>`;
  const patterns = [...new Set(types.flatMap(({ resource, pattern }) => (resource === null ? [] : pattern)))];
  const isKnown =
    fields.type === undefined ||
    types.some((each) => fields.type === each.type || fields.type === each.pattern);
  const isFiltered = Object.keys(fields).length > 0;
  return html`<form method="get" action="${visit.href(SECTION)}" class="search" role="search">
<div><label for="type">${text.type}</label><select id="type" name="type">${option('', text.allTypes)}
${patterns.map((pattern) => {
  const own = types.filter((each) => each.pattern === pattern);
  return html`<optgroup label="${own[0]?.resource}">${option(pattern, text.everyChange(pattern))}${own.map(({ type }) => option(type, type))}</optgroup>`;
})}
${types.filter(({ resource }) => resource === null).map(({ type }) => option(type, type))}
${isKnown ? null : option(fields.type ?? '', fields.type ?? '')}</select></div>
<div><label for="key">${text.key}</label><input id="key" name="key" value="${fields.key}" maxlength="1000" autocomplete="off" spellcheck="false" aria-describedby="key-hint"></div>
${timeRange(text.range, fields)}
<p class="muted hint" id="key-hint">${text.keyHint}</p>
<p class="choices"><button class="primary">${text.search}</button>${isFiltered ? html`<a class="button" href="${visit.href(SECTION)}">${text.clear}</a>` : null}</p>
</form>`;
}

function results({ data, next_cursor: next }: NonNullable<EventList['found']>, visit: Visit): Html {
  const text = visit.text.events.list;
  const fields = searchFields(visit, SEARCH_FIELDS);
  const isLater = visit.query.has('cursor');
  const isFiltered = Object.keys(fields).length > 0;
  const none = next !== null ? text.goesOn : isFiltered ? text.noneFound : isLater ? text.noMore : text.none;
  const further = data.length === 0 ? text.searchOn : text.older;
  return html`${
    data.length === 0
      ? html`<p class="empty" role="status">${none}</p>`
      : html`<table class="list events"><thead><tr><th scope="col">${text.columns.record}</th><th scope="col">${text.columns.change}</th><th scope="col" class="wide">${text.columns.fields}</th><th scope="col" class="wide number">${text.columns.time}</th></tr></thead>
<tbody>${data.map((event) => row(event, visit))}</tbody></table>`
  }
${listLinks(visit, { path: SECTION, fields, next, words: { first: text.newest, next: further } })}`;
}

function row(event: Event, visit: Visit): Html {
  const { formats, text } = visit;
  return html`<tr>
<th scope="row"><a href="${visit.href(`${SECTION}/${event.id}`)}">${describeRecord(event)}</a>
<small><span class="narrow">${formats.time(event.timestamp)}</span><span class="wide">${event.type}</span></small></th>
<td>${verbBadge(event, visit)}</td>
<td class="wide">${changedNames(event, text.events.list.moreFields, formats.number)}</td>
<td class="wide number">${formats.time(event.timestamp)}</td>
</tr>`;
}

function changedNames(
  { previous }: Event,
  more: (count: string) => string,
  number: (count: number) => string,
): Html | null {
  const names = Object.keys(previous ?? {});
  if (names.length === 0) return null;
  const rest = names.length - MAX_FIELDS;
  return html`<span class="clip">${names.slice(0, MAX_FIELDS).join(', ')}</span>${rest > 0 ? html` ${more(number(rest))}` : null}`;
}
