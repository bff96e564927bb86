import { z } from 'zod';
import {
  MAX_PERIOD_SECONDS,
  MIN_PERIOD_SECONDS,
  type QuotaPeriod,
} from '../../../shared/domain/quota-period.ts';
import { EXAMPLE } from '../http/example-values.ts';
import { instantSchema, parseInstant } from '../http/instant.ts';
import { timestamp } from '../http/schema.ts';
import type { AccountLimits, AccountRow } from './accounts.ts';

export const quotaPeriodSchema = z
  .union([z.enum(['month', 'week', 'day']), z.strictObject({ seconds: z.int(), starting_at: timestamp })])
  .meta({ description: 'A calendar period in UTC, or periods of a fixed length counted from a start.' });

export const accountSchema = z
  .strictObject({
    id: z.string(),
    name: z.string(),
    source_id: z.string().meta({ description: 'Value of the account column in its PostgreSQL text form.' }),
    limits: z.strictObject({
      max_running_exports: z.int(),
      max_running_bulk_operations: z.int(),
      bulk_quota: z.strictObject({
        items: z
          .int()
          .nullable()
          .meta({ description: 'Items that may be processed per period. Null: unlimited.' }),
        period: quotaPeriodSchema,
      }),
    }),
    created_at: timestamp,
  })
  .meta({ id: 'Account' });

export const EXAMPLE_ACCOUNT: z.input<typeof accountSchema> = {
  id: EXAMPLE.account,
  name: 'Acme',
  source_id: 'a0ee',
  limits: {
    max_running_exports: 3,
    max_running_bulk_operations: 3,
    bulk_quota: { items: null, period: 'month' },
  },
  created_at: EXAMPLE.at,
};

export function presentAccount(row: AccountRow): z.input<typeof accountSchema> {
  return {
    id: row.id,
    name: row.name,
    source_id: row.source_id,
    limits: {
      max_running_exports: row.max_running_exports,
      max_running_bulk_operations: row.max_running_bulk,
      bulk_quota: {
        items: row.bulk_quota === null ? null : Number(row.bulk_quota),
        period: presentPeriod(row.bulk_quota_period),
      },
    },
    created_at: row.created_at.toISOString(),
  };
}

export function presentPeriod(period: QuotaPeriod) {
  if (typeof period === 'string') return period;
  return { seconds: period.seconds, starting_at: new Date(period.startMs).toISOString() };
}

/** Default start of periods of a fixed length. */
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
