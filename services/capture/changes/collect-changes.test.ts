import { expect, test } from 'vitest';
import { lingerMs } from './collect-changes.ts';

test('a commit behind a pause, and the parts of a large transaction, are not held back', () => {
  expect(lingerMs({ commitCount: 1, startedAtMs: 1_000 }, 1_010)).toBe(0);
  expect(lingerMs({ commitCount: 0, startedAtMs: 1_000 }, 1_001)).toBe(0);
});

test('shortly behind another one a commit waits for more, until the interval is over', () => {
  expect(lingerMs({ commitCount: 1, startedAtMs: 1_000 }, 1_004)).toBe(6);
  expect(lingerMs({ commitCount: 400, startedAtMs: 1_000 }, 1_004)).toBe(6);
});

test('a lot that took longer than the interval is followed at once', () => {
  expect(lingerMs({ commitCount: 500, startedAtMs: 1_000 }, 1_030)).toBe(0);
});
