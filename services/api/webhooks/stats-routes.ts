import type { Pool } from 'pg';
import { z } from 'zod';
import { findFailedReplay } from '../../../shared/control/webhooks/replay-failed.ts';
import { type Catalog, findResource } from '../../../shared/domain/catalog.ts';
import { EXAMPLE } from '../http/example-values.ts';
import { instantSchema, parseInstant } from '../http/instant.ts';
import { jsonResponse } from '../http/response.ts';
import { defineRoute, type Route } from '../http/route.ts';
import { invalid } from '../http/validate.ts';
import { EXAMPLE_STATS } from './examples.ts';
import { known } from './routes.ts';
import { BUCKET_MS, presentBacklog, presentFigures, presentReplay, statsSchema } from './stats-response.ts';
import { readBacklog, readStats } from './stats-store.ts';
import { findWebhook } from './store.ts';

export interface StatsDeps {
  readonly pool: Pool;
  readonly catalog: Catalog;
  readonly now: () => number;
}

const DAY_MS = 24 * 60 * 60_000;

/** As long as attempts are retained. */
const MAX_RANGE_MS = 7 * DAY_MS;

/** How deliveries to an endpoint went lately, and how far it is behind. Cheap enough to be polled. */
export function statsRoutes({ pool, catalog, now }: StatsDeps): Route[] {
  return [
    defineRoute({
      method: 'GET',
      path: '/webhooks/{id}/stats',
      operationId: 'getWebhookStats',
      tag: 'webhooks',
      summary: 'Show delivery statistics, and how far the webhook endpoint is behind',
      description:
        'Attempts and events by five minutes, over the last day or a range of up to 7 days, and the backlog now. It is cheap enough to be polled every few seconds.',
      params: { id: 'ID of the webhook endpoint.' },
      example: { params: { id: EXAMPLE.webhook } },
      access: 'webhooks:read',
      account: 'any',
      query: z.strictObject({
        from: instantSchema.optional().meta({ description: 'Default: a day before `to`.' }),
        to: instantSchema
          .optional()
          .meta({ description: 'Default: now. At most 7 days after `from`: older statistics are removed.' }),
      }),
      responses: {
        200: {
          description: 'Statistics of the last day, or of the range.',
          schema: statsSchema,
          example: EXAMPLE_STATS,
        },
      },
      async handle({ param, query, accountId }) {
        const { id } = known(await findWebhook(pool, accountId, param('id')), param('id'));
        const { from, to } = rangeOf(query, now());
        const rows = await readStats(pool, id, from, to);
        const backlog = await readBacklog(pool, id, (resource) => findResource(catalog, resource)?.event);
        const replay = await findFailedReplay(pool, id);
        const shown: z.input<typeof statsSchema> = {
          webhook_id: id,
          from: from.toISOString(),
          to: to.toISOString(),
          ...presentFigures(rows),
          behind_by: presentBacklog(backlog, now()),
          retrying: backlog?.retrying ?? 0,
          dead_letters: backlog?.dead ?? 0,
          failed_replay: replay === undefined ? null : presentReplay(replay),
          bucket_seconds: BUCKET_MS / 1_000,
          buckets: rows.map((row) => ({ at: row.bucket.toISOString(), ...presentFigures([row]) })),
        };
        return jsonResponse(200, shown);
      },
    }),
  ];
}

/** The first millisecond that is not before it. */
function endOf(instant: string): number {
  return Number(((parseInstant(instant) ?? 0n) + 999n) / 1_000n);
}

/** @throws AppError `invalid` for a range that is empty or too long */
function rangeOf(
  query: { from?: string | undefined; to?: string | undefined },
  nowMs: number,
): { from: Date; to: Date } {
  const endMs = query.to === undefined ? nowMs : endOf(query.to);
  const startMs = query.from === undefined ? endMs - DAY_MS : Date.parse(query.from);
  if (startMs >= endMs) throw invalid([{ pointer: 'from', detail: 'must be before to' }]);
  if (endMs - startMs > MAX_RANGE_MS) {
    throw invalid([{ pointer: 'from', detail: 'must be at most 7 days before to' }]);
  }
  return {
    from: new Date(Math.floor(startMs / BUCKET_MS) * BUCKET_MS),
    to: new Date(Math.ceil(endMs / BUCKET_MS) * BUCKET_MS),
  };
}
