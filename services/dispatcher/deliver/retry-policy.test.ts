import { expect, test } from 'vitest';
import { nextAttemptAtMs, RETRY_DELAYS_MS } from './retry-policy.ts';

test('the schedule is the published one', () => {
  const seconds = RETRY_DELAYS_MS.map((_, n) => Number(nextAttemptAtMs(n + 1, 0, () => 0)) / 1_000);
  expect(seconds).toEqual([5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]);
});

test('jitter only ever makes a wait longer, by a fifth at most', () => {
  expect(nextAttemptAtMs(1, 1_000, () => 0)).toBe(6_000);
  expect(nextAttemptAtMs(1, 1_000, () => 0.999)).toBeLessThanOrEqual(7_000);
});

test('the tenth failure is the last', () => {
  expect(nextAttemptAtMs(9, 0)).toBeDefined();
  expect(nextAttemptAtMs(10, 0)).toBeUndefined();
});
