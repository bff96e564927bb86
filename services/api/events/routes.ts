import type { Pool } from 'pg';
import { z } from 'zod';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import {
  comparePositions,
  FEED_LIMIT,
  FEED_START,
  formatPosition,
  type Position,
  parseEventId,
  parsePosition,
} from '../../../shared/domain/position.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import type { Signer } from '../../../shared/runtime/signing.ts';
import { findEventPayload, readEvents } from '../admin/feed-store.ts';
import {
  type HandOff,
  handOffOf,
  isKept,
  type Retention,
  requireReached,
  startAfterExport,
} from '../exports/feed-start.ts';
import { findExport } from '../exports/store.ts';
import { oneAccount } from '../http/caller.ts';
import { EXAMPLE, EXAMPLE_CURSOR } from '../http/example-values.ts';
import { readCursor, writeCursor } from '../http/paging.ts';
import { jsonTextResponse } from '../http/response.ts';
import { defineRoute, type Route } from '../http/route.ts';
import { listOf, pageOf } from '../http/schema.ts';
import { invalid } from '../http/validate.ts';
import { eventSchema, exampleEvent } from './event-schemas.ts';
import type { RecordRead } from './record-read.ts';
import { searchRoutes } from './search-routes.ts';

export interface EventDeps {
  readonly pool: Pool;
  readonly catalog: Catalog;
  readonly cursorSigner: Signer;
  readonly retention: () => Retention;
  readonly now: () => number;
}

const MAX_LIMIT = 1_000;

/**
 * Longest search of one request past events that its reader does not get, which are of other resources or in
 * its export. Many readers take an empty page for the end of the feed, so a page is empty only after this
 * time, with `has_more`.
 */
const SEARCH_MS = 2_000;

/**
 * The contents of a feed cursor: position, time of issue, and until its seal the export that the reader
 * continues from.
 */
interface FeedPlace {
  readonly position: string;
  readonly givenAtMs: number;
  readonly exportId?: string;
}

interface ReadFrom {
  readonly after: Position;
  readonly handOff: HandOff | undefined;
}

interface EventsQuery {
  readonly after?: string | undefined;
  readonly after_export?: string | undefined;
}

/** The feed by polling: the same events in the same order, with the same hand-off as by webhook. */
export function eventRoutes(deps: EventDeps, recordRead: RecordRead): Route[] {
  const { pool, catalog } = deps;
  const names = catalog.resources.map(({ name }) => name);
  return [
    defineRoute({
      method: 'GET',
      path: '/events',
      operationId: 'listEvents',
      tag: 'feed',
      summary: 'Read the feed after a cursor, an event, a position or an export',
      description:
        'The feed by polling: the same events in the same order as by webhook. Start with `after_export` to follow an export, then send each `next_cursor` as `after`. At the end of the feed `has_more` is false: wait a second and read on with the same cursor.',
      example: { query: { limit: 100 } },
      problems: {
        not_found: 'There is no export `after_export`.',
        conflict: 'The export `after_export` has not completed.',
        gone: 'Events after this position are no longer retained. Create a new export and continue from it.',
      },
      access: 'events:read',
      account: 'one',
      query: z.strictObject({
        after: z
          .string()
          .min(1)
          .max(2_000)
          .optional()
          .meta({ description: 'next_cursor, an event ID or a position.' }),
        after_export: z
          .string()
          .min(1)
          .max(100)
          .optional()
          .meta({ description: 'Start exactly where this export’s snapshot ends.' }),
        resource: z
          .enum(names, { error: `must be a resource: ${names.join(', ')}` })
          .optional()
          .meta({ description: 'Only events of this resource.' }),
        limit: z.coerce
          .number()
          .int()
          .min(1)
          .max(MAX_LIMIT)
          .default(100)
          .meta({ description: 'Size of the page.' }),
      }),
      responses: {
        200: {
          description:
            'Events, oldest first. A page may be empty while has_more is true. next_cursor is always set: use it to read later events.',
          schema: listOf(eventSchema),
          example: { ...pageOf(exampleEvent(catalog)), next_cursor: EXAMPLE_CURSOR },
        },
      },
      async handle({ query, accountId, caller }) {
        const account = oneAccount(accountId);
        const { after, handOff } = await readFrom(account, query, deps);
        await recordRead(account, caller);
        const { resource, limit } = query;
        const wanted = { accountId: account, resource, handOff, limit };
        const searchedUntilMs = performance.now() + SEARCH_MS;
        let page = await readEvents(pool, { ...wanted, after });
        while (page.payloads.length === 0 && page.hasMore && performance.now() < searchedUntilMs) {
          page = await readEvents(pool, { ...wanted, after: page.readUpTo });
        }
        const isPastSeal = handOff === undefined || page.readUpTo.commitLsn > handOff.untilLsn;
        const place: FeedPlace = {
          position: formatPosition(page.readUpTo),
          givenAtMs: deps.now(),
          ...(isPastSeal ? {} : { exportId: handOff.exportId }),
        };
        const cursor = writeCursor(deps.cursorSigner, feedOf(account), place);
        // Payloads are the texts that webhooks sign; parsing and printing them would change their numbers.
        return jsonTextResponse(
          200,
          `{"data":[${page.payloads.join(',')}],"has_more":${page.hasMore},"next_cursor":${JSON.stringify(cursor)}}`,
        );
      },
    }),
    // Before the event of an ID, whose path has the same form.
    ...searchRoutes(deps, recordRead),
    defineRoute({
      method: 'GET',
      path: '/events/{id}',
      operationId: 'getEvent',
      tag: 'feed',
      summary: 'Show an event',
      description: 'The event as it was delivered, for as long as it is retained.',
      params: { id: 'ID of the event.' },
      example: { params: { id: EXAMPLE.event } },
      access: 'events:read',
      account: 'one',
      responses: {
        200: { description: 'The event.', schema: eventSchema, example: exampleEvent(catalog) },
      },
      async handle({ param, accountId, caller }) {
        await recordRead(oneAccount(accountId), caller);
        const position = parseEventId(param('id'));
        const payload = position && (await findEventPayload(pool, oneAccount(accountId), position));
        if (payload === undefined) throw new AppError('not_found', `There is no event ${param('id')}.`);
        return jsonTextResponse(200, payload);
      },
    }),
  ];
}

/** A cursor is valid in the account's feed with any filter. */
function feedOf(accountId: string): string {
  return `events:${accountId}`;
}

async function readFrom(accountId: string, query: EventsQuery, deps: EventDeps): Promise<ReadFrom> {
  if (query.after?.includes('.') === true) return readFromCursor(accountId, query.after, query, deps);
  const after =
    query.after === undefined ? undefined : (parseEventId(query.after) ?? parsePosition(query.after));
  // The event is an account event, outside the feed: no event of the feed follows it.
  const isOutside = after !== undefined && comparePositions(after, FEED_LIMIT) >= 0;
  if (isOutside || (query.after !== undefined && after === undefined)) {
    throw invalid([
      { pointer: 'after', detail: 'must be a next_cursor, or the ID or position of an event of the feed' },
    ]);
  }
  if (after !== undefined) await requireReached(deps.pool, accountId, after, 'after');
  if (query.after_export !== undefined) {
    const start = await startAfterExport(
      deps.pool,
      accountId,
      query.after_export,
      'after_export',
      deps.retention(),
    );
    // The export holds everything before its start.
    const isLater = after !== undefined && comparePositions(after, start.cursor) > 0;
    return isLater ? { after, handOff: start.handOff } : { after: start.cursor, handOff: start.handOff };
  }
  if (after !== undefined && !(await isKept(deps.pool, accountId, after, deps.retention())))
    throw eventsGone();
  return { after: after ?? FEED_START, handOff: undefined };
}

async function readFromCursor(
  accountId: string,
  cursor: string,
  { after_export: exportId }: EventsQuery,
  deps: EventDeps,
): Promise<ReadFrom> {
  const retention = deps.retention();
  const place = readCursor<FeedPlace>(deps.cursorSigner, feedOf(accountId), cursor, 'after');
  const after = parsePosition(place.position) ?? FEED_START;
  // Nothing was missed when the cursor was issued, however old the last event is.
  const isRecent = place.givenAtMs > retention.nowMs - (retention.eventRetentionDays - 1) * 86_400_000;
  if (!isRecent && !(await isKept(deps.pool, accountId, after, retention))) throw eventsGone();
  if (place.exportId !== undefined && exportId !== undefined && place.exportId !== exportId) {
    throw invalid([{ pointer: 'after_export', detail: 'is not the export of this cursor' }]);
  }
  // A cursor past the seal no longer depends on its export, so naming the export again has no effect.
  const job =
    place.exportId === undefined ? undefined : await findExport(deps.pool, accountId, place.exportId);
  return { after, handOff: job && handOffOf(job) };
}

function eventsGone(): AppError {
  return new AppError(
    'gone',
    'The events after this position are no longer retained. Create a new export and continue from it.',
  );
}
