import { z } from 'zod';
import { type Catalog, findResource, type Resource } from '../../../shared/domain/catalog.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import type { Signer } from '../../../shared/runtime/signing.ts';
import type { SourceFacts } from '../admin/source-facts.ts';
import type { UnfitResources } from '../admin/unfit-resources.ts';
import { eventExamples } from '../events/event-examples.ts';
import { meaningOf } from '../events/event-meanings.ts';
import { ANY_KEY } from '../http/caller.ts';
import { PAGE_QUERY, readCursor, writeCursor } from '../http/paging.ts';
import { jsonResponse } from '../http/response.ts';
import { defineRoute, type Route } from '../http/route.ts';
import { listOf, pageOf } from '../http/schema.ts';
import { eventTypes } from '../webhooks/request.ts';
import {
  createResourceDescriber,
  type DescribeResources,
  type ResourceDescription,
  recordEventExample,
} from './resource-descriptions.ts';
import {
  eventTypeSchema,
  exampleResource,
  resourceSchema,
  type ShownEventType,
  type ShownResource,
} from './schemas.ts';

export interface CatalogDeps {
  readonly catalog: Catalog;
  readonly source: Pick<SourceFacts, 'read'>;
  readonly unfit: Pick<UnfitResources, 'among'>;
  readonly cursorSigner: Signer;
  readonly now: () => number;
}

/**
 * What records, events and requests may hold. Pages and clients build forms from it. It is the same for every account,
 * and shows only what is published.
 */
export function catalogRoutes({ catalog, source, unfit, cursorSigner, now }: CatalogDeps): Route[] {
  const describe = createResourceDescriber(catalog, { source, now });
  const show = async (resources: readonly Resource[]): Promise<ShownResource[]> => {
    const described = await describe(resources);
    const reasons = await unfit.among(resources.map(({ name }) => name));
    return described.map(({ shown }) => ({ ...shown, unfit: reasons.get(shown.name) ?? null }));
  };
  const types = eventTypes(catalog);
  const [first] = catalog.resources;
  const [name, event] = [first?.name ?? 'records', first?.event ?? 'record'];
  const read = { method: 'GET', tag: 'account', access: ANY_KEY, account: 'any' } as const;
  const page = <Item>(list: string, items: readonly Item[], query: PageQuery) =>
    pageOfItems(cursorSigner, list, items, query);
  return [
    defineRoute({
      ...read,
      path: '/resources',
      operationId: 'listResources',
      summary: 'List the resources with their fields, operations and possibilities',
      description:
        'Everything that a form needs: fields with types and filters, what exports and bulk jobs of the resource may have, and an example of a record. Any key may ask. In the order of the catalog.',
      example: { query: { limit: 10 } },
      query: z.strictObject(PAGE_QUERY),
      responses: {
        200: {
          description: 'Resources.',
          schema: listOf(resourceSchema),
          example: pageOf(exampleResource(name, event)),
        },
      },
      async handle({ query }) {
        const { items, ...rest } = page('resources', catalog.resources, query);
        return jsonResponse(200, { data: await show(items), ...rest });
      },
    }),
    defineRoute({
      ...read,
      path: '/resources/{name}',
      operationId: 'getResource',
      summary: 'Show a resource',
      description: 'The same as in the list of resources.',
      params: { name: 'Name of the resource.' },
      example: { params: { name } },
      responses: {
        200: {
          description: 'The resource.',
          schema: resourceSchema,
          example: exampleResource(name, event),
        },
      },
      async handle({ param }) {
        const resource = findResource(catalog, param('name'));
        const [shown] = resource === undefined ? [] : await show([resource]);
        if (shown === undefined) throw new AppError('not_found', `There is no resource ${param('name')}.`);
        return jsonResponse(200, shown);
      },
    }),
    defineRoute({
      ...read,
      path: '/event-types',
      operationId: 'listEventTypes',
      summary: 'List the event types that a webhook endpoint can subscribe to',
      description:
        'Types of records in the order of the catalog, then the others. `pattern` subscribes to a group, and `*` to all. Any key may ask.',
      example: { query: { limit: 1 } },
      query: z.strictObject(PAGE_QUERY),
      responses: {
        200: {
          description: 'Event types.',
          schema: listOf(eventTypeSchema),
          example: pageOf(
            presentType(types[0] ?? '', first, eventExamples(catalog).get(types[0] ?? '') ?? null),
          ),
        },
      },
      async handle({ query }) {
        const { items, ...rest } = page('event-types', types, query);
        return jsonResponse(200, { data: await presentTypes(items, catalog, describe), ...rest });
      },
    }),
  ];
}

interface PageQuery {
  readonly limit: number;
  readonly cursor?: string | undefined;
}

/** A page of an array in memory. A cursor is the number of items before it. */
function pageOfItems<Item>(
  signer: Signer,
  list: string,
  items: readonly Item[],
  { limit, cursor }: PageQuery,
) {
  const start = cursor === undefined ? 0 : readCursor<{ at: number }>(signer, list, cursor).at;
  const end = start + limit;
  const hasMore = end < items.length;
  return {
    items: items.slice(start, end),
    has_more: hasMore,
    next_cursor: hasMore ? writeCursor(signer, list, { at: end }) : null,
  };
}

async function presentTypes(
  types: readonly string[],
  catalog: Catalog,
  describe: DescribeResources,
): Promise<ShownEventType[]> {
  const resourceOf = (type: string) => catalog.resources.find(({ event }) => type.startsWith(`${event}.`));
  const resources = [...new Set(types.flatMap((type) => resourceOf(type) ?? []))];
  const described = await describeIfPossible(resources, describe);
  const bodies = eventExamples(catalog);
  return types.map((type) => {
    const resource = resourceOf(type);
    return presentType(type, resource, exampleOf(bodies.get(type) ?? {}, resource, described));
  });
}

function presentType(
  type: string,
  resource: Resource | undefined,
  example: Readonly<Record<string, unknown>> | null,
): ShownEventType {
  return {
    type,
    pattern: `${type.split('.')[0]}.*`,
    resource: resource?.name ?? null,
    is_in_feed: resource !== undefined || type === 'feed.reset',
    description: meaningOf(type),
    example: example === null ? null : { ...example },
  };
}

/** Types are known without the source, and a form that lists them can do without examples. */
async function describeIfPossible(
  resources: readonly Resource[],
  describe: DescribeResources,
): Promise<readonly ResourceDescription[]> {
  try {
    return await describe(resources);
  } catch (error) {
    if (error instanceof AppError && error.code === 'unavailable') return [];
    throw error;
  }
}

function exampleOf(
  body: Readonly<Record<string, unknown>>,
  resource: Resource | undefined,
  described: readonly ResourceDescription[],
): Readonly<Record<string, unknown>> | null {
  if (resource === undefined) return body;
  const description = described.find(({ shown }) => shown.name === resource.name);
  if (description === undefined || description.rowType.columns.length === 0) return null;
  return recordEventExample(body, description);
}
