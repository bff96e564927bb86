import { type Content, type Html, html } from '../../pages/html.ts';
import type { Live } from '../frame/live.ts';
import { timeOf } from '../frame/parts.ts';
import { searchHref } from '../frame/search-form.ts';
import type { Visit } from '../frame/visit.ts';
import { doneNote } from '../webhooks/webhook-parts.ts';
import { type Delivery, deliveryList } from './delivery-list.ts';
import { SECTION } from './event-list.ts';
import { describeRecord, searchKeyOf, verbBadge } from './event-names.ts';
import { changesOf, changeTable } from './field-changes.ts';
import { jsonHtml } from './json-html.ts';

/** An event with numbers that keep their digits. */
export interface ExactEvent {
  readonly id: string;
  readonly type: string;
  readonly timestamp: string;
  readonly position: string | null;
  readonly resource: string;
  readonly key: unknown;
  readonly data: unknown;
  readonly previous?: Readonly<Record<string, unknown>>;
  readonly unchanged?: readonly string[];
  readonly unknown?: readonly string[];
  readonly transaction?: { readonly id: unknown; readonly index: unknown };
  readonly source?: { readonly bulk_job_id?: string };
}

export interface EventFacts {
  readonly event: ExactEvent;
  /** Undefined for a session that may not see webhook endpoints. */
  readonly deliveries: readonly Delivery[] | undefined;
}

/** The page of one event. */
export function eventBody({ event, deliveries }: EventFacts, live: Live, visit: Visit): Html {
  const text = visit.text.events.details;
  return html`<h1>${describeRecord(event)}</h1>
<p class="states">${verbBadge(event, visit)} <span class="id">${event.id}</span> <span class="muted">${timeOf(live, visit, 'at', event.timestamp)}</span></p>
${doneNote(visit)}
${event.position === null ? null : changed(event, visit)}
${deliveries && html`<section><h2>${text.deliveries}</h2>${deliveryList(event.id, deliveries, live, visit)}</section>`}
<div class="event-parts">
${payload(event, visit)}
${facts(event, visit)}
</div>`;
}

function changed({ type, data, previous, unchanged, unknown }: ExactEvent, visit: Visit): Html {
  const text = visit.text.events.details;
  const verb = type.split('.').at(-1);
  const isRecord = typeof data === 'object' && data !== null;
  const changes = previous === undefined || !isRecord ? [] : changesOf({ ...data }, previous);
  const words: Readonly<Record<string, string>> = text.happened;
  return html`<section><h2>${text.changed}</h2>
${changes.length > 0 ? changeTable(changes, visit) : html`<p>${verb === 'updated' ? text.previousUnknown : (words[verb ?? ''] ?? '')}</p>`}
${nameList(text.unchanged, unchanged)}
${nameList(text.unknown, unknown)}</section>`;
}

function nameList(title: string, names: readonly string[] | undefined): Html | null {
  if (names === undefined || names.length === 0) return null;
  return html`<p class="muted">${title} ${names.map((name) => html`<code>${name}</code> `)}</p>`;
}

function payload(event: ExactEvent, visit: Visit): Html {
  const text = visit.text.events.details;
  const { code, isCut } = jsonHtml(event);
  return html`<section><h2>${text.payload}</h2>
<div class="code"${isCut ? null : html` data-copy=""`}><div class="code-head">JSON</div><pre tabindex="0">${code}</pre></div>
${isCut ? html`<p class="muted">${text.payloadCut}</p>` : null}
<p><a class="button" href="${visit.href(`${SECTION}/${event.id}/json`)}" download="${event.id}.json">${text.download}</a></p></section>`;
}

function facts(event: ExactEvent, visit: Visit): Html {
  const text = visit.text.events.details;
  const { transaction } = event;
  const key = searchKeyOf(event);
  const job = event.source?.bulk_job_id;
  const entries: readonly (readonly [string, Content])[] = [
    [text.type, html`<code>${event.type}</code>`],
    [text.committed, visit.formats.utc(event.timestamp)],
    [text.position, event.position === null ? text.outsideFeed : html`<code>${event.position}</code>`],
    [
      text.transaction,
      transaction &&
        text.transactionPlace(String(transaction.id), visit.formats.number(Number(transaction.index) + 1)),
    ],
    [text.bulkJob, job && html`<a class="id" href="${visit.href(`/dashboard/bulk/${job}`)}">${job}</a>`],
    [
      text.record,
      key === undefined || event.position === null
        ? null
        : html`<a href="${searchHref(visit, SECTION, { type: `${event.type.split('.')[0]}.*`, key })}">${text.sameRecord}</a>`,
    ],
  ];
  return html`<section><h2>${text.details}</h2><dl class="facts">${entries.map(
    ([name, value]) => value && html`<div><dt>${name}</dt><dd>${value}</dd></div>`,
  )}</dl></section>`;
}
