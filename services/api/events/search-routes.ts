import type { Pool } from 'pg';
import { z } from 'zod';
import { type Catalog, findResource } from '../../../shared/domain/catalog.ts';
import { parseExactJson } from '../../../shared/domain/exact-json.ts';
import { publicKey } from '../../../shared/domain/public-names.ts';
import type { FieldError } from '../../../shared/runtime/errors.ts';
import type { Signer } from '../../../shared/runtime/signing.ts';
import { oneAccount } from '../http/caller.ts';
import { instantSchema } from '../http/instant.ts';
import { PAGE_QUERY, readCursor, searchRows, writeCursor } from '../http/paging.ts';
import { jsonTextResponse } from '../http/response.ts';
import { defineRoute, type Route } from '../http/route.ts';
import { listOf, pageOf } from '../http/schema.ts';
import { invalid } from '../http/validate.ts';
import { eventSchema, exampleEvent } from './event-schemas.ts';
import type { RecordRead } from './record-read.ts';
import {
  type EventFilter,
  type FoundEvents,
  MAX_PAGE_BYTES,
  type SearchPlace,
  searchEvents,
} from './search-store.ts';

export interface SearchDeps {
  readonly pool: Pool;
  readonly catalog: Catalog;
  readonly cursorSigner: Signer;
}

const MAX_TYPES = 100;

/** Looks events up, newest first, for people. Replicas read the feed. */
export function searchRoutes({ pool, catalog, cursorSigner }: SearchDeps, recordRead: RecordRead): Route[] {
  const names = catalog.resources.map(({ name }) => name);
  const query = z.strictObject({
    ...PAGE_QUERY,
    type: z
      .string()
      .max(5_000)
      .transform((text, context) => {
        const types = toTypes(text, catalog);
        if (types !== undefined) return types;
        context.addIssue({
          code: 'custom',
          message: `must be event types of the feed, separated by commas: ${feedTypes(catalog).join(', ')}, or "<name>.*"`,
        });
        return z.NEVER;
      })
      .optional()
      .meta({ description: 'Event types, separated by commas, such as `invoice.created,customer.*`.' }),
    resource: z
      .enum(names, { error: `must be a resource: ${names.join(', ')}` })
      .optional()
      .meta({ description: 'Only events of this resource.' }),
    key: z.string().max(1_000).optional().meta({
      description:
        'With `resource`: only events of the record with this key. A key of several columns is a JSON array of their values.',
    }),
    from: instantSchema.optional().meta({ description: 'Committed at this time or later.' }),
    to: instantSchema.optional().meta({ description: 'Committed before this time.' }),
  });
  return [
    defineRoute({
      method: 'GET',
      path: '/events/search',
      operationId: 'searchEvents',
      tag: 'feed',
      summary: 'Search events by type, record and time, newest first',
      description:
        'For looking events up; to follow the feed, read `GET /events`. Account events are not part of it. A search for rare events continues at `next_cursor` while `has_more` is true: one request examines events for two seconds at most, so its page may have fewer than `limit` events, even none.',
      example: { query: { limit: 10 } },
      access: 'events:read',
      account: 'one',
      query,
      responses: {
        200: {
          description: 'Events, newest first.',
          schema: listOf(eventSchema),
          example: pageOf(exampleEvent(catalog)),
        },
      },
      async handle({ query, accountId, caller }) {
        const account = oneAccount(accountId);
        const filter: EventFilter = {
          accountId: account,
          types: query.type,
          resource: query.resource,
          recordKey: recordKeyOf(query, catalog),
          from: query.from,
          to: query.to,
        };
        const list = `events-search:${JSON.stringify(filter)}`;
        const from =
          query.cursor === undefined ? undefined : readCursor<SearchPlace>(cursorSigner, list, query.cursor);
        await recordRead(account, caller);
        let bytes = 0;
        const { rows, next } = await searchRows<string, SearchPlace, FoundEvents>(
          (after, limit) => searchEvents(pool, filter, after, limit),
          from,
          query.limit,
          (page) => {
            bytes += page.bytes;
            return page.isFull || bytes >= MAX_PAGE_BYTES;
          },
        );
        const cursor = next === undefined ? null : writeCursor(cursorSigner, list, next);
        return jsonTextResponse(
          200,
          `{"data":[${rows.join(',')}],"has_more":${next !== undefined},"next_cursor":${JSON.stringify(cursor)}}`,
        );
      },
    }),
  ];
}

function feedTypes({ resources }: Catalog): string[] {
  const verbs = ['created', 'updated', 'deleted'];
  return [...resources.flatMap(({ event }) => verbs.map((verb) => `${event}.${verb}`)), 'feed.reset'];
}

/** @returns undefined when a part is no type of the feed */
function toTypes(text: string, catalog: Catalog): string[] | undefined {
  const all = feedTypes(catalog);
  const parts = text.split(',');
  const types = parts.map((part) =>
    all.filter((type) => type === part || (part.endsWith('.*') && type.startsWith(part.slice(0, -1)))),
  );
  if (parts.length > MAX_TYPES || types.some((found) => found.length === 0)) return undefined;
  return [...new Set(types.flat())];
}

/** @throws AppError `invalid` for a key without its resource, or of another form */
function recordKeyOf(
  { resource: name, key }: { resource?: string | undefined; key?: string | undefined },
  catalog: Catalog,
): string | undefined {
  if (key === undefined) return undefined;
  const refuse = (detail: string): FieldError[] => [{ pointer: 'key', detail }];
  const resource = name === undefined ? undefined : findResource(catalog, name);
  if (resource === undefined) throw invalid(refuse('needs resource'));
  if (resource.key.length === 1) return JSON.stringify([key]);
  const parts = parseArray(key);
  if (parts === undefined || parts.length !== resource.key.length) {
    throw invalid(
      refuse(`must be a JSON array of ${resource.key.length} values: ${publicKey(resource).join(', ')}`),
    );
  }
  return JSON.stringify(parts.map(String));
}

function parseArray(text: string): unknown[] | undefined {
  try {
    const value = parseExactJson(text);
    return Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
