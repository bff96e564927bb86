import { expect, test } from 'vitest';
import { publishIntervalMs } from './capture-loop.ts';

test('a position that only irrelevant WAL has moved is published seldom, and more seldom once nothing has come for a while', () => {
  expect(publishIntervalMs(true, 0, false)).toBe(100);
  // A heartbeat or what an export waits by is a transaction, however long nothing else has come.
  expect(publishIntervalMs(true, 3_600_000, false)).toBe(100);
  expect(publishIntervalMs(false, 0, false)).toBe(1_000);
  expect(publishIntervalMs(false, 29_999, false)).toBe(1_000);
  expect(publishIntervalMs(false, 30_000, false)).toBe(5_000);
});

test('a position that a heartbeat waits for is published at once', () => {
  expect(publishIntervalMs(false, 3_600_000, true)).toBe(10);
  expect(publishIntervalMs(true, 0, true)).toBe(10);
});
