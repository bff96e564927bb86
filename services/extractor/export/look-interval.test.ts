import { expect, test } from 'vitest';
import { pollIntervalMs } from './look-interval.ts';

test('what comes soon is seen soon, and a long wait is not spent looking', () => {
  expect([0, 100, 400, 1_000, 60_000].map(pollIntervalMs)).toEqual([20, 20, 40, 100, 150]);
});
