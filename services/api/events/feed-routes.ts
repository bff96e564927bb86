import type { Pool } from 'pg';
import { z } from 'zod';
import { type FeedStatus, readFeedStatus } from '../admin/feed-status.ts';
import { jsonResponse } from '../http/response.ts';
import { defineRoute, type Route } from '../http/route.ts';

export interface FeedDeps {
  readonly pool: Pool;
}

const why = z.string().meta({ description: 'The data.reason of feed.stalled or feed.reset.' });

export const feedSchema = z
  .strictObject({
    stalled: z
      .strictObject({ reason: why, since: z.string() })
      .nullable()
      .meta({ description: 'Set while the feed delivers no changes of any resource, else null.' }),
    set_aside: z.array(z.strictObject({ resource: z.string(), reason: why, since: z.string() })).meta({
      description: 'Resources whose changes are not delivered. A feed.reset announces the end.',
    }),
  })
  .meta({ id: 'FeedStatus' });

/**
 * The state of the feed for customers that poll: an empty page alone does not show whether the feed moves. It
 * is the same for every account, because a resource is a table of all accounts. Reasons come from a closed
 * list; details for the operator (tables, errors) are not shown.
 */
export function feedRoutes({ pool }: FeedDeps): Route[] {
  return [
    defineRoute({
      method: 'GET',
      path: '/feed',
      operationId: 'getFeed',
      tag: 'feed',
      summary: 'Show whether the feed delivers changes',
      description:
        'An empty page of events does not show whether the feed moves. This does: whether it stands still, and which resources are left out at present. It is the same for every account.',
      access: 'events:read',
      account: 'none',
      responses: {
        200: {
          description: 'Status of the feed.',
          schema: feedSchema,
          example: { stalled: null, set_aside: [] },
        },
      },
      async handle() {
        return jsonResponse(200, presentFeedStatus(await readFeedStatus(pool)));
      },
    }),
  ];
}

export function presentFeedStatus({ setAside, stall }: FeedStatus): z.input<typeof feedSchema> {
  return {
    stalled: stall === undefined ? null : { reason: stall.reason, since: stall.since.toISOString() },
    set_aside: setAside.map(({ resource, reason, since_at: since }) => ({
      resource,
      reason,
      since: since.toISOString(),
    })),
  };
}
