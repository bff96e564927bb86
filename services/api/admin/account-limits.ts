import { z } from 'zod';
import {
  MAX_PERIOD_SECONDS,
  MIN_PERIOD_SECONDS,
  type QuotaPeriod,
} from '../../../shared/domain/quota-period.ts';
import { instantSchema, parseInstant } from '../http/instant.ts';
import type { AccountLimits } from './accounts.ts';

/** From where periods of a fixed length are counted unless it is said. */
const DEFAULT_START = '1970-01-01T00:00:00Z';

const MICROS = 1_000_000n;

const fixedPeriod = z
  .strictObject({
    seconds: z.int().min(MIN_PERIOD_SECONDS).max(MAX_PERIOD_SECONDS),
    starting_at: instantSchema
      .refine((text) => (parseInstant(text) ?? 0n) % MICROS === 0n, { error: 'must be a whole second' })
      .default(DEFAULT_START)
      .meta({
        description: 'Start of one period. The other periods follow and precede it without a gap.',
      }),
  })
  .meta({ description: 'Periods of a fixed length.' });

const quotaPeriod = z
  .union([z.enum(['month', 'week', 'day']), fixedPeriod], {
    error: `must be "month", "week", "day" or {"seconds": ${MIN_PERIOD_SECONDS} to ${MAX_PERIOD_SECONDS}}`,
  })
  .meta({
    description:
      'Period after which the quota is full again: a calendar month, week (Monday to Sunday) or day in UTC, or a fixed length.',
  });

const items = z.int().min(0).nullable().meta({ description: 'Null: unlimited.' });

const bulkQuota = z.strictObject({ items: items.optional(), period: quotaPeriod.optional() }).meta({
  description: 'Items of bulk jobs that may be processed per period. An omitted member keeps its value.',
});

export const accountLimitsSchema = z
  .strictObject({
    max_running_exports: z.int().min(1).max(10).optional(),
    max_running_bulk_operations: z.int().min(1).max(10).optional(),
    bulk_quota: bulkQuota.optional(),
    bulk_items_per_month: items
      .optional()
      .meta({ description: 'Short form of bulk_quota with this number of items and the period "month".' }),
  })
  .refine((given) => given.bulk_quota === undefined || given.bulk_items_per_month === undefined, {
    path: ['bulk_items_per_month'],
    error: 'sets the same limit as bulk_quota: give one of the two',
  });

export function toLimits(given: z.output<typeof accountLimitsSchema> | undefined): AccountLimits {
  const perMonth = given?.bulk_items_per_month;
  const { items: count, period } =
    perMonth === undefined ? (given?.bulk_quota ?? {}) : { items: perMonth, period: 'month' as const };
  return {
    maxRunningExports: given?.max_running_exports,
    maxRunningBulk: given?.max_running_bulk_operations,
    bulkQuota: count,
    bulkQuotaPeriod: period === undefined ? undefined : toPeriod(period),
  };
}

function toPeriod(period: z.output<typeof quotaPeriod>): QuotaPeriod {
  if (typeof period === 'string') return period;
  return { seconds: period.seconds, startMs: Number((parseInstant(period.starting_at) ?? 0n) / 1_000n) };
}
