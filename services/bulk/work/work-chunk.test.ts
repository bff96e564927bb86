import { expect, test } from 'vitest';
import { probedFirst, whenAway } from './work-chunk.ts';

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
