import { expect, test } from 'vitest';
import { probedFirst, splitItems, whenAway } from './work-chunk.ts';

test('items are numbered by their place, and what is done is left out', () => {
  const items = [
    { key: ['1'] },
    { id: 'x', code: 'invalid_id' as const, message: 'is not a bigint', line: 7 },
    { key: ['2'] },
    { id: '1', code: 'duplicate' as const },
  ];
  const { decided, open } = splitItems({ firstSeq: 100, items }, new Set([100]));
  expect(open).toEqual([{ seq: 102, itemId: '2', key: ['2'], line: null }]);
  expect(decided).toMatchObject([
    { seq: 101, itemId: 'x', status: 'failed', code: 'invalid_id', line: 7 },
    { seq: 103, itemId: '1', status: 'skipped', code: 'duplicate' },
  ]);
});

test('items fail for a handler that is away only where it answers for others, time and again', () => {
  const away = { lastFailure: 'handler_away', failureCount: 3, isHandlerAway: false, isRestOfJob: false };
  expect(whenAway(away)).toBe('fail');
  expect(whenAway({ ...away, failureCount: 2 })).toBe('leave');
  expect(whenAway({ ...away, lastFailure: 'worker_lost' })).toBe('leave');
  expect(whenAway({ ...away, failureCount: 99, isHandlerAway: true })).toBe('probe');
});

test('the last items of a job are waited for less long than a handler which is away', () => {
  const away = { lastFailure: 'handler_away', failureCount: 10, isHandlerAway: true, isRestOfJob: true };
  expect(whenAway(away)).toBe('fail');
  expect(whenAway({ ...away, failureCount: 9 })).toBe('probe');
});

test('each probe begins with another item', () => {
  const items = [0, 1, 2].map((seq) => ({ seq, itemId: `${seq}`, key: [`${seq}`], line: null }));
  const order = (lastFailure: string | null, failureCount: number) =>
    probedFirst(items, { lastFailure, failureCount }).map(({ seq }) => seq);
  expect(order(null, 0)).toEqual([0, 1, 2]);
  expect(order('handler_away', 1)).toEqual([1, 0, 2]);
  expect(order('handler_away', 5)).toEqual([2, 0, 1]);
});
