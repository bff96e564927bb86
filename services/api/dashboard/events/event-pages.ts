import type { z } from 'zod';
import { parseExactJson } from '../../../../shared/domain/exact-json.ts';
import { AppError } from '../../../../shared/runtime/errors.ts';
import { PROBLEMS } from '../../http/problem.ts';
import type { redeliverySchema } from '../../webhooks/response.ts';
import { dashboardPage } from '../frame/layout.ts';
import { livePage } from '../frame/live-page.ts';
import { instantOf, refusalOf, searchFields } from '../frame/search-form.ts';
import { type DashboardPage, pageResponse, seeOther, type Visit, type VisitDeps } from '../frame/visit.ts';
import { withDone } from '../webhooks/webhook-parts.ts';
import type { Delivery } from './delivery-list.ts';
import { type EventList, type EventType, eventListBody, SEARCH_FIELDS, SECTION } from './event-list.ts';
import { describeRecord } from './event-names.ts';
import { type EventFacts, type ExactEvent, eventBody } from './event-page.ts';

type Redelivery = z.output<typeof redeliverySchema>;

const STYLES = 'events.css';

const PAGE_SIZE = 25;

/** Limit of pages of event types that are read: a thousand types. */
const MAX_TYPE_PAGES = 5;
const TYPES_PER_PAGE = 200;

/** Update interval: deliveries change while the page is open. */
const EVERY_SECONDS = 5;

/** The search for events, and the page of each event with its deliveries. */
export function eventPages(deps: Pick<VisitDeps, 'frameAncestors'>): DashboardPage[] {
  const read = { needs: 'events:read' } as const;
  return [
    {
      ...read,
      method: 'GET',
      path: SECTION,
      async handle(visit) {
        const list = await readList(visit);
        const page = {
          title: visit.text.events.list.title,
          section: SECTION,
          styles: STYLES,
          body: eventListBody(list, visit),
        };
        const status = list.error === undefined ? 200 : PROBLEMS[list.error.code].status;
        return pageResponse(dashboardPage(visit, visit.session, page), deps, status);
      },
    },
    ...livePage(
      {
        path: `${SECTION}/{id}`,
        ...read,
        section: SECTION,
        styles: STYLES,
        title: ({ event }) => `${describeRecord(event)} · ${event.type}`,
        everySeconds: () => EVERY_SECONDS,
        read: readEvent,
        body: eventBody,
      },
      deps,
    ),
    {
      ...read,
      method: 'GET',
      path: `${SECTION}/{id}/json`,
      async handle(visit) {
        const id = visit.request.param('id');
        const { body } = await visit.send('getEvent', { params: { id } });
        return {
          status: 200,
          headers: {
            'content-type': 'application/json; charset=utf-8',
            'content-disposition': `attachment; filename="${id}.json"`,
            'cache-control': 'no-store',
            'x-content-type-options': 'nosniff',
          },
          body,
        };
      },
    },
    {
      method: 'POST',
      needs: 'webhooks:write',
      path: `${SECTION}/{id}/redeliver`,
      async handle(visit) {
        const id = visit.request.param('id');
        const webhookId = visit.form.get('webhook_id') ?? '';
        const body = { webhook_id: webhookId };
        const { state } = await visit.ask<Redelivery>('redeliverEvent', { params: { id }, body });
        return seeOther(withDone(`${SECTION}/${id}`, state));
      },
    },
  ];
}

async function readList(visit: Visit): Promise<EventList> {
  const types = await readTypes(visit);
  const { type, key, from, to } = searchFields(visit, SEARCH_FIELDS);
  const { cursor } = searchFields(visit, ['cursor']);
  try {
    // A key belongs to a resource, which follows from the event type.
    const resource = types.find((each) => each.type === type || each.pattern === type)?.resource ?? undefined;
    if (key !== undefined && resource === undefined) {
      throw new AppError('invalid', visit.text.events.list.keyNeedsType);
    }
    const fields = { type, from: instantOf(from), to: instantOf(to), cursor };
    const given = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
    const query = { limit: PAGE_SIZE, ...given, ...(key === undefined ? {} : { key, resource }) };
    return { types, found: await visit.ask<NonNullable<EventList['found']>>('searchEvents', { query }) };
  } catch (error) {
    return { types, found: undefined, error: refusalOf(error) };
  }
}

/** The feed's event types for the form. */
async function readTypes(visit: Visit): Promise<EventType[]> {
  const types: EventType[] = [];
  let cursor: string | null = null;
  for (let page = 0; page < MAX_TYPE_PAGES; page += 1) {
    const read: { data: EventType[]; next_cursor: string | null } = await visit.ask('listEventTypes', {
      query: { limit: TYPES_PER_PAGE, ...(cursor === null ? {} : { cursor }) },
    });
    types.push(...read.data.filter((each) => each.is_in_feed));
    cursor = read.next_cursor;
    if (cursor === null) break;
  }
  return types;
}

async function readEvent(visit: Visit): Promise<EventFacts> {
  const params = { id: visit.request.param('id') };
  const { body } = await visit.send('getEvent', { params });
  const event = parseExactJson(String(body)) as ExactEvent;
  const deliveries = visit.may('webhooks:read')
    ? (await visit.ask<{ data: Delivery[] }>('listEventDeliveries', { params })).data
    : undefined;
  return { event, deliveries };
}
