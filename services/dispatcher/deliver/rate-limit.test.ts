import { expect, test } from 'vitest';
import { createRateLimit } from './rate-limit.ts';

const countStarted = (perSecond: number | undefined, forMs: number) => {
  const limit = createRateLimit(perSecond);
  let count = 0;
  for (let nowMs = 1_000_000; nowMs < 1_000_000 + forMs; nowMs++) {
    while (limit.nextAtMs <= nowMs && count < 10_000) {
      limit.take(nowMs);
      count += 1;
    }
  }
  return count;
};

test('in ten seconds no more start than ten times the rate and one small burst', () => {
  expect(countStarted(50, 10_000)).toBeLessThanOrEqual(505);
  expect(countStarted(50, 10_000)).toBeGreaterThanOrEqual(499);
});

test('nothing is saved up for a larger burst', () => {
  expect(countStarted(50, 1)).toBe(5);
  expect(countStarted(1, 1)).toBe(1);
});

test('without a limit nothing waits', () => {
  expect(countStarted(undefined, 1)).toBe(10_000);
});
