import { expect, test } from 'vitest';
import { lingerMs } from './collect-changes.ts';

test('a commit by itself is not held back', () => {
  expect(lingerMs({ commitCount: 0, startedAtMs: 0 }, 1)).toBe(0);
  expect(lingerMs({ commitCount: 3, startedAtMs: 1_000 }, 1_001)).toBe(0);
});

test('behind a lot of several commits the next one gathers what comes within the interval', () => {
  expect(lingerMs({ commitCount: 4, startedAtMs: 1_000 }, 1_004)).toBe(6);
});

test('a lot that took longer than the interval is followed at once', () => {
  expect(lingerMs({ commitCount: 500, startedAtMs: 1_000 }, 1_030)).toBe(0);
});
