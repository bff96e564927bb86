import { z } from 'zod';
import type { FailedReplay } from '../../../shared/control/webhooks/replay-failed.ts';
import { addClasses, estimatePercentile } from '../../../shared/domain/duration-classes.ts';
import { count, timestamp } from '../http/schema.ts';
import { failedReplaySchema } from './response.ts';
import { type Backlog, MAX_COUNTED, type StatsRow } from './stats-store.ts';

/** The dispatcher counts attempts by the five minutes in which they start. */
export const BUCKET_MS = 5 * 60_000;

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

/** @param examined events after the position that are looked at */
export function behindBySchema(examined: number) {
  return z
    .strictObject({
      events: count.meta({
        description: 'Events that are recorded for the endpoint and not delivered yet.',
      }),
      is_exact: z.boolean().meta({
        description: `False: at least that many. At most ${examined.toLocaleString('en')} events after the position are examined.`,
      }),
      seconds: count.nullable().meta({
        description:
          'Age of the oldest of them, 0 when there is none. Null when none is among the examined events and more follow.',
      }),
    })
    .meta({ description: 'What the endpoint has yet to get, now.' });
}

export const statsSchema = z
  .strictObject({
    webhook_id: z.string(),
    from: timestamp.meta({ description: 'The start of the first bucket.' }),
    to: timestamp.meta({ description: 'The end of the last bucket.' }),
    ...figures,
    behind_by: behindBySchema(MAX_COUNTED),
    retrying: count.meta({ description: 'Events that failed and wait for their next attempt, now.' }),
    dead_letters: count.meta({
      description: `Events that were given up and can be delivered again, now. At most ${MAX_COUNTED.toLocaleString('en')} are counted.`,
    }),
    failed_replay: failedReplaySchema
      .nullable()
      .meta({ description: 'The replay of failed events that is running. Null: none is.' }),
    bucket_seconds: z.literal(BUCKET_MS / 1_000),
    buckets: z
      .array(z.strictObject({ at: timestamp.meta({ description: 'The start of the bucket.' }), ...figures }))
      .meta({ description: 'By the start of the attempts. Buckets without an attempt are left out.' }),
  })
  .meta({ id: 'WebhookStats' });

export function presentFigures(rows: readonly StatsRow[]) {
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

export function presentBacklog(
  backlog: Backlog | undefined,
  nowMs: number,
): z.input<typeof statsSchema>['behind_by'] {
  const { events = 0, isExact = true, oldestAt } = backlog ?? {};
  const age = oldestAt === undefined ? 0 : Math.max(0, Math.round((nowMs - oldestAt.getTime()) / 1_000));
  return { events, is_exact: isExact, seconds: oldestAt === undefined && !isExact ? null : age };
}

export function presentReplay(replay: FailedReplay): z.input<typeof failedReplaySchema> {
  return {
    from: replay.failed_from.toISOString(),
    to: replay.failed_until.toISOString(),
    requested_at: replay.requested_at.toISOString(),
  };
}
