import type { Pool } from 'pg';
import type { z } from 'zod';
import { type Catalog, findResource } from '../../../shared/domain/catalog.ts';
import { isTypeWanted } from '../../../shared/domain/event-pattern.ts';
import { parseEventId } from '../../../shared/domain/position.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import { oneAccount } from '../http/caller.ts';
import { EXAMPLE } from '../http/example-values.ts';
import { jsonResponse } from '../http/response.ts';
import { defineRoute, type Route } from '../http/route.ts';
import { pageOf } from '../http/schema.ts';
import { eventDeliveryListSchema, presentEventDelivery } from './event-delivery-response.ts';
import { findDeliveredEvent, readDeliveries } from './event-delivery-store.ts';
import { EXAMPLE_EVENT_DELIVERY } from './examples.ts';

export interface EventDeliveryDeps {
  readonly pool: Pool;
  readonly catalog: Catalog;
}

export function eventDeliveryRoutes({ pool, catalog }: EventDeliveryDeps): Route[] {
  return [
    defineRoute({
      method: 'GET',
      path: '/events/{id}/deliveries',
      operationId: 'listEventDeliveries',
      tag: 'webhooks',
      summary: 'Show what became of an event at each webhook endpoint',
      description:
        'All webhook endpoints of the account, also those that do not get the event, on one page. Attempts are retained for 7 days.',
      params: { id: 'ID of the event.' },
      example: { params: { id: EXAMPLE.event } },
      access: 'webhooks:read',
      account: 'one',
      responses: {
        200: {
          description: 'One entry for each webhook endpoint, newest first.',
          schema: eventDeliveryListSchema,
          example: pageOf(EXAMPLE_EVENT_DELIVERY),
        },
      },
      async handle({ param, accountId }) {
        const account = oneAccount(accountId);
        const position = parseEventId(param('id'));
        const event = position && (await findDeliveredEvent(pool, account, position));
        if (position === undefined || event === undefined) {
          throw new AppError('not_found', `There is no event ${param('id')}. Its retention may have ended.`);
        }
        const singular = findResource(catalog, event.resource)?.event;
        const rows = await readDeliveries(pool, account, position, event);
        const data = rows.map((row) =>
          presentEventDelivery(row, isTypeWanted(row.events, event.type, singular)),
        );
        const page: z.input<typeof eventDeliveryListSchema> = { data, has_more: false, next_cursor: null };
        return jsonResponse(200, page);
      },
    }),
  ];
}
