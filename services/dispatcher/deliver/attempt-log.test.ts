import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { silentLog } from '../../../shared/runtime/log.ts';
import type { Attempt } from '../store/record-attempts.ts';
import { createAttemptLog } from './attempt-log.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const attempt = (n: number): Attempt => ({
  endpointId: 'whk_1',
  batch: undefined,
  eventId: `evt_${n}`,
  attempt: 1,
  startedAtMs: n,
  committedAtMs: 0,
  durationMs: 1,
  status: 200,
  outcome: 'delivered',
  excerpt: undefined,
  request: undefined,
  response: undefined,
});

test('attempts are written together', async () => {
  const written: number[] = [];
  const log = createAttemptLog(async (batch) => void written.push(batch.length), silentLog);
  for (let n = 0; n < 700; n++) log.note(attempt(n));
  expect(written).toEqual([]);
  await vi.advanceTimersByTimeAsync(300);
  expect(written).toEqual([500, 200]);
});

test('a log that can not be written forgets the oldest instead of growing', async () => {
  const warned: unknown[] = [];
  const log = createAttemptLog(() => Promise.reject(new Error('no table')), {
    ...silentLog,
    warn: (event) => void warned.push(event),
  });
  for (let n = 0; n < 10_001; n++) log.note(attempt(n));
  expect(warned).toEqual(['attempts.dropped']);
  await log.flush();
  expect(warned).toEqual(['attempts.dropped', 'attempts.not_recorded']);
});
