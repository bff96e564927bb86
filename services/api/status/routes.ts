import type { Pool } from 'pg';
import { z } from 'zod';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import type { Signer } from '../../../shared/runtime/signing.ts';
import { PAGE_QUERY, pageResponse } from '../http/paging.ts';
import { jsonResponse } from '../http/response.ts';
import { defineRoute, type Route } from '../http/route.ts';
import { listOf, pageOf } from '../http/schema.ts';
import {
  deadEndpointSchema,
  EXAMPLE_DEAD_ENDPOINT,
  listDeadEndpoints,
  presentDeadEndpoint,
} from './dead-letters.ts';
import {
  EXAMPLE_FAILING_ENDPOINT,
  failingEndpointSchema,
  listFailingEndpoints,
  presentFailingEndpoint,
} from './failing-endpoints.ts';
import { EXAMPLE_STATUS, type Status, statusSchema } from './response.ts';

export interface StatusRouteDeps {
  readonly pool: Pool;
  readonly catalog: Catalog;
  /** One reading for all who ask. */
  readonly read: () => Promise<Status>;
  readonly cursorSigner: Signer;
  readonly now: () => number;
}

/** What an operator looks at first. */
export function statusRoutes(deps: StatusRouteDeps): Route[] {
  return [
    defineRoute({
      method: 'GET',
      path: '/admin/status',
      operationId: 'getStatus',
      tag: 'operator',
      summary: 'Show what runs, what waits, and what holds work up',
      description:
        'Processes, feed, queues, consumer lag and transactions in one reading. It is shared: however many ask, it is read once in two seconds. `bottlenecks` names what makes work slow; the runbook has an entry for each.',
      example: {},
      access: 'operator',
      account: 'none',
      responses: {
        200: { description: 'The status.', schema: statusSchema, example: EXAMPLE_STATUS },
      },
      handle: async () => jsonResponse(200, await deps.read()),
    }),
    defineRoute({
      method: 'GET',
      path: '/admin/dead-letters',
      operationId: 'listDeadLetterEndpoints',
      tag: 'operator',
      summary: 'List the webhook endpoints that have dead letters',
      description:
        'Endpoints of all accounts for which events were given up, those created last first. `GET /webhooks/{id}/dead-letters` with `account_id` lists the events of one.',
      example: { query: { limit: 10 } },
      access: 'operator',
      account: 'none',
      query: z.strictObject(PAGE_QUERY),
      responses: {
        200: {
          description: 'Endpoints with their number of dead letters.',
          schema: listOf(deadEndpointSchema),
          example: pageOf(EXAMPLE_DEAD_ENDPOINT),
        },
      },
      handle: ({ query }) =>
        pageResponse(
          deps.cursorSigner,
          'dead-letters',
          query,
          (after, limit) => listDeadEndpoints(deps.pool, after, limit),
          presentDeadEndpoint,
        ),
    }),
    defineRoute({
      method: 'GET',
      path: '/admin/failing-endpoints',
      operationId: 'listFailingEndpoints',
      tag: 'operator',
      summary: 'List the webhook endpoints that fail or were disabled',
      description:
        'Endpoints of all accounts, those that have failed longest first, each with its last failure and how far it is behind. `GET /webhooks/{id}/attempts` with `account_id` lists the attempts of one.',
      example: { query: { limit: 10 } },
      access: 'operator',
      account: 'none',
      query: z.strictObject(PAGE_QUERY),
      responses: {
        200: {
          description: 'Endpoints that fail, or were disabled.',
          schema: listOf(failingEndpointSchema),
          example: pageOf(EXAMPLE_FAILING_ENDPOINT),
        },
      },
      handle: ({ query }) =>
        pageResponse(
          deps.cursorSigner,
          'failing-endpoints',
          query,
          (after, limit) => listFailingEndpoints(deps.pool, after, limit),
          (row) => presentFailingEndpoint(row, deps),
        ),
    }),
  ];
}
