import { expect, test } from 'vitest';
import { type RateState, smoothRate } from './smooth-rate.ts';

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
