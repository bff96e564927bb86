import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MAX_PERIOD_SECONDS, MIN_PERIOD_SECONDS, type QuotaPeriod, spanOf } from './quota-period.ts';

const moment = fc.integer({ min: Date.UTC(1990, 0, 1), max: Date.UTC(2200, 0, 1) });

const period: fc.Arbitrary<QuotaPeriod> = fc.oneof(
  fc.constantFrom('month' as const, 'week' as const, 'day' as const),
  fc.record({
    seconds: fc.integer({ min: MIN_PERIOD_SECONDS, max: MAX_PERIOD_SECONDS }),
    startMs: moment.map((atMs) => atMs - (atMs % 1_000)),
  }),
);

test('each moment is in the one period that it is given, which ends after it', () => {
  fc.assert(
    fc.property(period, moment, (kind, nowMs) => {
      const { startMs, endMs } = spanOf(kind, nowMs);
      expect(startMs).toBeLessThanOrEqual(nowMs);
      expect(endMs).toBeGreaterThan(nowMs);
    }),
  );
});

test('periods follow each other without gap or overlap, and every moment of one gives the same', () => {
  fc.assert(
    fc.property(period, moment, fc.double({ min: 0, max: 1, noNaN: true }), (kind, nowMs, share) => {
      const span = spanOf(kind, nowMs);
      const within = span.startMs + Math.floor(share * (span.endMs - span.startMs - 1));
      expect(spanOf(kind, within)).toEqual(span);
      expect(spanOf(kind, span.endMs - 1)).toEqual(span);
      expect(spanOf(kind, span.endMs).startMs).toBe(span.endMs);
      expect(spanOf(kind, span.startMs - 1).endMs).toBe(span.startMs);
    }),
  );
});

test('months, weeks and days are of the calendar in UTC, other lengths are counted from their start', () => {
  const shown = (kind: QuotaPeriod, at: string) => {
    const { startMs, endMs } = spanOf(kind, Date.parse(at));
    return [new Date(startMs).toISOString(), new Date(endMs).toISOString()];
  };
  expect(shown('month', '2026-12-31T23:59:59.999Z')).toEqual([
    '2026-12-01T00:00:00.000Z',
    '2027-01-01T00:00:00.000Z',
  ]);
  expect(shown('week', '2026-11-26T11:00:00Z')).toEqual([
    '2026-11-23T00:00:00.000Z',
    '2026-11-30T00:00:00.000Z',
  ]);
  expect(shown('day', '2028-02-29T00:00:00Z')).toEqual([
    '2028-02-29T00:00:00.000Z',
    '2028-03-01T00:00:00.000Z',
  ]);
  const fortnight = { seconds: 14 * 86_400, startMs: Date.parse('2026-11-20T06:00:00Z') };
  expect(shown(fortnight, '2026-11-19T00:00:00Z')).toEqual([
    '2026-11-06T06:00:00.000Z',
    '2026-11-20T06:00:00.000Z',
  ]);
});
