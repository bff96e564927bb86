import type { Pool } from 'pg';
import { z } from 'zod';
import { type Catalog, findResource } from '../../../shared/domain/catalog.ts';
import { addClasses, estimatePercentile } from '../../../shared/domain/duration-classes.ts';
import { EXAMPLE } from '../http/example-values.ts';
import { instantSchema } from '../http/instant.ts';
import { jsonResponse } from '../http/response.ts';
import { defineRoute, type Route } from '../http/route.ts';
import { count, timestamp } from '../http/schema.ts';
import { invalid } from '../http/validate.ts';
import { EXAMPLE_STATS } from './examples.ts';
import { known } from './routes.ts';
import { type Backlog, MAX_COUNTED, readBacklog, readStats, type StatsRow } from './stats-store.ts';
import { findWebhook } from './store.ts';

export interface StatsDeps {
  readonly pool: Pool;
  readonly catalog: Catalog;
  readonly now: () => number;
}

const BUCKET_MS = 5 * 60_000;
const DAY_MS = 24 * 60 * 60_000;

/** As long as attempts are retained. */
const MAX_RANGE_MS = 7 * DAY_MS;

const outcomes = z.strictObject({ delivered: count, failed: count });

const figures = {
  attempts: outcomes.meta({ description: 'Requests, without tests.' }),
  events: outcomes.meta({
    description: 'Events of those requests. An event counts as failed once for each attempt that failed.',
  }),
  duration_ms: z
    .strictObject({ p50: count, p95: count })
    .nullable()
    .meta({ description: 'Time of an attempt, at most a fifth off. Null without attempts.' }),
};

export const statsSchema = z
  .strictObject({
    webhook_id: z.string(),
    from: timestamp.meta({ description: 'The start of the first bucket.' }),
    to: timestamp.meta({ description: 'The end of the last bucket.' }),
    ...figures,
    behind_by: z
      .strictObject({
        events: count.meta({
          description: 'Events that are recorded for the endpoint and not delivered yet.',
        }),
        is_exact: z.boolean().meta({
          description: `False: at least that many. At most ${MAX_COUNTED.toLocaleString('en')} events after the position are examined.`,
        }),
        seconds: count.nullable().meta({
          description:
            'Age of the oldest of them, 0 when there is none. Null when none is among the examined events and more follow.',
        }),
      })
      .meta({ description: 'Now, whatever the range is.' }),
    retrying: count.meta({ description: 'Events that failed and wait for their next attempt, now.' }),
    dead_letters: count.meta({
      description: `Events that were given up and can be delivered again, now. At most ${MAX_COUNTED.toLocaleString('en')} are counted.`,
    }),
    bucket_seconds: z.literal(BUCKET_MS / 1_000),
    buckets: z
      .array(z.strictObject({ at: timestamp.meta({ description: 'The start of the bucket.' }), ...figures }))
      .meta({ description: 'By the start of the attempts. Buckets without an attempt are left out.' }),
  })
  .meta({ id: 'WebhookStats' });

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
        const shown: z.input<typeof statsSchema> = {
          webhook_id: id,
          from: from.toISOString(),
          to: to.toISOString(),
          ...presentFigures(rows),
          behind_by: presentBacklog(backlog, now()),
          retrying: backlog?.retrying ?? 0,
          dead_letters: backlog?.dead ?? 0,
          bucket_seconds: BUCKET_MS / 1_000,
          buckets: rows.map((row) => ({ at: row.bucket.toISOString(), ...presentFigures([row]) })),
        };
        return jsonResponse(200, shown);
      },
    }),
  ];
}

/** @throws AppError `invalid` for a range that is empty or too long */
function rangeOf(
  query: { from?: string | undefined; to?: string | undefined },
  nowMs: number,
): { from: Date; to: Date } {
  const endMs = query.to === undefined ? nowMs : Date.parse(query.to);
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

function presentFigures(rows: readonly StatsRow[]) {
  const sum = (numberOf: (row: StatsRow) => number) => rows.reduce((total, row) => total + numberOf(row), 0);
  const durations = addClasses(rows.map((row) => row.durations));
  const p50 = estimatePercentile(durations, 0.5);
  const p95 = estimatePercentile(durations, 0.95);
  return {
    attempts: { delivered: sum((row) => row.delivered), failed: sum((row) => row.failed) },
    events: { delivered: sum((row) => row.delivered_events), failed: sum((row) => row.failed_events) },
    duration_ms: p50 === undefined || p95 === undefined ? null : { p50, p95 },
  };
}

function presentBacklog(
  backlog: Backlog | undefined,
  nowMs: number,
): z.input<typeof statsSchema>['behind_by'] {
  const { events = 0, isExact = true, oldestAt } = backlog ?? {};
  const age = oldestAt === undefined ? 0 : Math.max(0, Math.round((nowMs - oldestAt.getTime()) / 1_000));
  return { events, is_exact: isExact, seconds: oldestAt === undefined && !isExact ? null : age };
}
