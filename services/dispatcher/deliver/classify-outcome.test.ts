import { expect, test } from 'vitest';
import { MAX_RETRY_AFTER_MS, retryAfterMs } from '../../../shared/domain/retry-after.ts';
import { NO_HEADERS } from '../send/kept-headers.ts';
import type { SendOutcome } from '../send/send.ts';
import { classifyOutcome, nextAttemptAtMs, RETRY_DELAYS_MS } from './classify-outcome.ts';

const answered = (status: number, retryAfter?: string): SendOutcome => ({
  kind: 'answered',
  isCut: false,
  headers: NO_HEADERS,
  status,
  retryAfter,
  excerpt: '',
  durationMs: 1,
});

const kindOf = (status: number) => classifyOutcome(answered(status), 0).kind;

test('every 2xx is delivered', () => {
  expect([200, 201, 202, 204, 299].map(kindOf)).toEqual(Array(5).fill('delivered'));
});

test('redirects and refusals are failures', () => {
  const statuses = [301, 302, 303, 304, 307, 308, 400, 401, 404, 422, 500];
  expect(statuses.map(kindOf)).toEqual(statuses.map(() => 'failed'));
});

test('410 means that the owner wants no more', () => {
  expect(kindOf(410)).toBe('gone');
});

test('overload is told apart from failure, with the rest that was asked for', () => {
  for (const status of [429, 502, 503, 504]) {
    expect(classifyOutcome(answered(status, '3'), 0)).toEqual({ kind: 'throttled', restMs: 3_000 });
    expect(classifyOutcome(answered(status), 0)).toEqual({ kind: 'throttled', restMs: undefined });
  }
});

test('a request that we broke off is not held against the endpoint', () => {
  expect(classifyOutcome({ kind: 'failed', errorClass: 'aborted', message: '', durationMs: 1 }, 0).kind).toBe(
    'aborted',
  );
  expect(classifyOutcome({ kind: 'failed', errorClass: 'timeout', message: '', durationMs: 1 }, 0).kind).toBe(
    'failed',
  );
});

test('Retry-After is read as seconds and as a date, and clamped', () => {
  const nowMs = Date.parse('2026-03-01T10:00:00Z');
  expect(retryAfterMs('120', nowMs)).toBe(120_000);
  expect(retryAfterMs(' 7 ', nowMs)).toBe(7_000);
  expect(retryAfterMs('Sun, 01 Mar 2026 10:00:30 GMT', nowMs)).toBe(30_000);
  for (const far of [
    '999999999',
    '1000000000',
    '99999999999',
    '9'.repeat(400),
    'Fri, 31 Dec 9999 23:59:59 GMT',
  ]) {
    expect(retryAfterMs(far, nowMs)).toBe(MAX_RETRY_AFTER_MS);
  }
  // The two older forms of dates, which receivers may still send; neither is in local time.
  expect(retryAfterMs('Sunday, 01-Mar-26 10:00:30 GMT', nowMs)).toBe(30_000);
  expect(retryAfterMs('Sun Mar  1 10:00:30 2026', nowMs)).toBe(30_000);
});

test('a Retry-After that makes no sense counts as none', () => {
  for (const text of [undefined, '', '0', '-5', '1.5', 'soon', 'Sun, 01 Mar 2020 10:00:00 GMT']) {
    expect(retryAfterMs(text, Date.parse('2026-03-01T10:00:00Z'))).toBeUndefined();
  }
});

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
