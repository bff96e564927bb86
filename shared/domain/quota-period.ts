/**
 * After how long an account's quota is full again. Days and weeks are of the calendar too, in UTC; a week begins on Monday. One of a
 * number of seconds is counted from `startMs` on, in both directions.
 */
export type QuotaPeriod = 'month' | 'week' | 'day' | { readonly seconds: number; readonly startMs: number };

/** From `startMs` up to, and without, `endMs`. */
export interface QuotaSpan {
  readonly startMs: number;
  readonly endMs: number;
}

/** Shorter ones would be over before a chunk is done; longer ones are a month's or none. */
export const MIN_PERIOD_SECONDS = 1;
export const MAX_PERIOD_SECONDS = 366 * 86_400;

const DAY_MS = 86_400_000;
const WEEK_MS = 7 * DAY_MS;

/** 1970 began on a Thursday. */
const FIRST_MONDAY_MS = 4 * DAY_MS;

/** The one period that the moment is in. */
export function spanOf(period: QuotaPeriod, nowMs: number): QuotaSpan {
  switch (period) {
    case 'month': {
      const now = new Date(nowMs);
      const startOf = (months: number) => Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + months, 1);
      return { startMs: startOf(0), endMs: startOf(1) };
    }
    case 'week':
      return fixedSpan(WEEK_MS, FIRST_MONDAY_MS, nowMs);
    case 'day':
      return fixedSpan(DAY_MS, 0, nowMs);
    default:
      return fixedSpan(period.seconds * 1_000, period.startMs, nowMs);
  }
}

function fixedSpan(lengthMs: number, firstMs: number, nowMs: number): QuotaSpan {
  const startMs = firstMs + Math.floor((nowMs - firstMs) / lengthMs) * lengthMs;
  return { startMs, endMs: startMs + lengthMs };
}
