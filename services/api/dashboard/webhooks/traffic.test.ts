import { expect, test } from 'vitest';
import { axisEnd, groupTraffic, RANGES, type Range, spanOf } from './traffic.ts';

const NOW = Date.parse('2026-03-01T09:32:10Z');

const bucket = (at: string, delivered: number, failed = 0) => ({ at, events: { delivered, failed } });

test.each(Object.keys(RANGES) as Range[])(
  'a %s is whole columns, and the last one holds this moment',
  (range) => {
    const { fromMs, toMs } = spanOf(range, NOW);
    const columnMs = RANGES[range].columnSeconds * 1_000;
    expect([(toMs - fromMs) / 1_000, toMs % columnMs]).toEqual([RANGES[range].seconds, 0]);
    expect(toMs).toBeGreaterThan(NOW);
    expect(toMs - NOW).toBeLessThanOrEqual(columnMs);
    // Not more than the API gives, and on its buckets.
    expect([toMs - fromMs <= 7 * 86_400_000, columnMs % 300_000]).toEqual([true, 0]);
  },
);

test('buckets add up to columns; a column without one is zero; what is outside is left out', () => {
  const columns = groupTraffic(
    [
      bucket('2026-02-28T09:30:00Z', 100),
      bucket('2026-03-01T09:00:00Z', 1),
      bucket('2026-03-01T09:25:00Z', 2, 5),
      bucket('2026-03-01T09:30:00Z', 7),
      bucket('2026-03-01T10:00:00Z', 100),
    ],
    'day',
    NOW,
  );
  expect(columns).toHaveLength(48);
  expect(columns.slice(-3)).toEqual([
    { atMs: Date.parse('2026-03-01T08:30:00Z'), delivered: 0, failed: 0 },
    { atMs: Date.parse('2026-03-01T09:00:00Z'), delivered: 3, failed: 5 },
    { atMs: Date.parse('2026-03-01T09:30:00Z'), delivered: 7, failed: 0 },
  ]);
  expect(columns.reduce((sum, { delivered }) => sum + delivered, 0)).toBe(10);
});

test.each([
  [0, 2],
  [1, 2],
  [3, 4],
  [7, 10],
  [10, 20],
  [11, 20],
  [99, 100],
  [101, 200],
  [4_321, 6_000],
])('the axis for up to %s ends at %s', (highest, end) => {
  expect(axisEnd(highest)).toBe(end);
  expect((end / 2) % 1).toBe(0);
});
