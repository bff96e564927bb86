import { expect, test } from 'vitest';
import { isRetried, readRetryAfter, retryDelayMs, sleep } from './retry.ts';

test('delays double up to a limit, spread by chance, and never undercut a Retry-After', () => {
  const least = [1, 2, 3, 4].map((retry) => retryDelayMs(retry, undefined, () => 0));
  const most = [1, 2, 3, 4].map((retry) => retryDelayMs(retry, undefined, () => 1));
  expect(least).toEqual([125, 250, 500, 1_000]);
  expect(most).toEqual([250, 500, 1_000, 2_000]);
  expect(retryDelayMs(50, undefined, () => 1)).toBe(15_000);
  for (const random of [0, 0.5, 1]) expect(retryDelayMs(1, 7, () => random)).toBeGreaterThanOrEqual(7_000);
});

test('Retry-After is read in both forms', () => {
  const nowMs = Date.parse('2026-03-01T00:00:00Z');
  expect(readRetryAfter('12', nowMs)).toBe(12);
  expect(readRetryAfter('Sun, 01 Mar 2026 00:00:30 GMT', nowMs)).toBe(30);
  expect(readRetryAfter('Sun, 01 Mar 2020 00:00:30 GMT', nowMs)).toBe(0);
  expect(readRetryAfter('soon', nowMs)).toBeUndefined();
  expect(readRetryAfter(null, nowMs)).toBeUndefined();
});

test('a conflict is worth a repeat only if it names a time', () => {
  expect(isRetried(409, undefined)).toBe(false);
  expect(isRetried(409, 1)).toBe(true);
  expect([422, 404, 403, 410].some((status) => isRetried(status, undefined))).toBe(false);
  expect([408, 429, 500, 502, 503, 504].every((status) => isRetried(status, undefined))).toBe(true);
});

test('a wait ends with its signal', async () => {
  const ended = new AbortController();
  const waiting = sleep(60_000, ended.signal);
  ended.abort(new Error('enough'));
  await expect(waiting).rejects.toThrow('enough');
  await expect(sleep(60_000, ended.signal)).rejects.toThrow('enough');
});
