import { expect, test } from 'vitest';
import { createRetryQueue } from './retry-queue.ts';

const item = (seq: number) => ({ seq, itemId: `${seq}`, key: [`${seq}`], line: null });

test('items come again in the order in which they are due, up to the fourth try', async () => {
  let nowMs = 0;
  const queue = createRetryQueue(() => nowMs);
  const { signal } = new AbortController();
  expect(queue.add({ item: item(1), tryCount: 2 })).toBe(true);
  expect(queue.add({ item: item(2), tryCount: 1 })).toBe(true);
  expect(queue.add({ item: item(3), tryCount: 4 })).toBe(false);
  nowMs = 800;
  expect(await queue.next(signal)).toEqual({ item: item(2), tryCount: 2 });
  expect(await queue.next(signal)).toEqual({ item: item(1), tryCount: 3 });
  expect(await queue.next(signal)).toBeUndefined();
});

test('nothing comes again once the signal has aborted', async () => {
  const queue = createRetryQueue();
  queue.add({ item: item(1), tryCount: 1 });
  expect(await queue.next(AbortSignal.abort())).toBeUndefined();
});
