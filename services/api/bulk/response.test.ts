import { expect, test } from 'vitest';
import { etaSeconds, presentQuota } from './response.ts';

test('the time left follows from the recent rate, and is not known while a job waits', () => {
  const facts = { status: 'running', total: 1_000, processed: 400, rate: 100 };
  expect(etaSeconds(facts)).toBe(6);
  expect(etaSeconds({ ...facts, status: 'paused' })).toBeNull();
  expect(etaSeconds({ ...facts, status: 'pending' })).toBeNull();
  expect(etaSeconds({ ...facts, rate: null })).toBeNull();
  expect(etaSeconds({ ...facts, total: null })).toBeNull();
  expect(etaSeconds({ ...facts, status: 'completed' })).toBe(0);
});

test('quota that is reserved for claimed items does not remain', () => {
  const period = { span: '[a,b)', resetsAt: new Date(Date.UTC(2026, 1, 1)) };
  expect(presentQuota({ limit: 100, used: 60, reserved: 30, ...period })).toEqual({
    limit: 100,
    used: 60,
    remaining: 10,
    resets_at: '2026-02-01T00:00:00.000Z',
  });
  expect(presentQuota({ limit: null, used: 5, reserved: 0, ...period }).remaining).toBeNull();
});
