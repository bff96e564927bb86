import { expect, test } from 'vitest';
import { addCounts, chargedItems, latestErrors, type RateState, smoothRate } from './report-chunk.ts';

const error = (seq: number, at: string) => ({ seq, item_id: String(seq), code: 'x', message: '', at });

test('a chunk that is reported again replaces what it said before', () => {
  const job = addCounts({ conflict: 2 }, {}, { not_found: 3 });
  expect(job).toEqual({ conflict: 2, not_found: 3 });
  expect(addCounts(job, { not_found: 3 }, { not_found: 5 })).toEqual({ conflict: 2, not_found: 5 });
  expect(addCounts(job, { not_found: 3 }, {})).toEqual({ conflict: 2 });
});

test('the ten last failures are kept, newest first, each once', () => {
  const known = Array.from({ length: 10 }, (_, index) => error(index, `2026-01-01T00:00:0${index}.000Z`));
  const latest = latestErrors(known, [
    error(9, '2026-01-01T00:00:09.000Z'),
    error(77, '2026-01-01T00:00:09.500Z'),
  ]);
  expect(latest.map(({ seq }) => seq)).toEqual([77, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
});

test('what was done or tried costs quota, and what was skipped or has an impossible ID does not', () => {
  const errorCounts = { invalid_id: 3, not_found: 2, rejected: 1 };
  expect(chargedItems({ succeeded: 10, failed: 6, skipped: 5, errorCounts, recentErrors: [] })).toBe(13);
});

/** Reports every two seconds at this pace, for so long. */
function run(state: RateState, itemsASecond: number, seconds: number): RateState {
  let next = state;
  for (let passed = 2; passed <= seconds; passed += 2) {
    next = smoothRate(next, state.atMs + passed * 1_000, state.processed + passed * itemsASecond);
  }
  return next;
}

test('the first rate is the first measured one', () => {
  const state = { rate: null, atMs: 0, processed: 0 };
  expect(smoothRate(state, 500, 100)).toBe(state);
  expect(smoothRate(state, 2_000, 0)).toBe(state);
  expect(smoothRate(state, 2_000, 100)).toEqual({ rate: 50, atMs: 2_000, processed: 100 });
});

test('a minute after items got ten times slower, the time left is right within a fifth', () => {
  const before = run({ rate: null, atMs: 0, processed: 0 }, 1_000, 120);
  expect(before.rate).toBeCloseTo(1_000);
  const after = run(before, 100, 60);
  expect(after.rate).toBeGreaterThan(99);
  expect(after.rate).toBeLessThan(120);
});
