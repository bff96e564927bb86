import { expect, test } from 'vitest';
import { createRetryQueue, runWorkers } from './ask-for-items.ts';

test('the first failure tells the other lines, and is thrown when none runs any more', async () => {
  const things = [1, 2, 3, 4, 5, 6].values();
  const taken: number[] = [];
  const last = Promise.withResolvers<void>();
  let isSettled = false;
  const failure = new AbortController();
  const running = runWorkers(2, failure, async () => {
    for (const thing of things) {
      taken.push(thing);
      if (thing === 1) throw new Error('first');
      await last.promise;
      if (failure.signal.aborted) throw new Error('second');
    }
  }).finally(() => {
    isSettled = true;
  });
  await Promise.resolve();
  expect(isSettled).toBe(false);
  last.resolve();
  await expect(running).rejects.toThrow('first');
  expect(taken).toEqual([1, 2]);
});

test('lines that all come to their end are no failure', async () => {
  let count = 0;
  await runWorkers(3, new AbortController(), async () => {
    count += 1;
  });
  expect(count).toBe(3);
});

const turn = (seq: number, attempt: number) => ({
  item: { seq, itemId: `${seq}`, key: [`${seq}`], line: null },
  attempt,
  answersBefore: 0,
});

test('items come again in the order in which they are due, up to the fourth try', async () => {
  let nowMs = 0;
  const queue = createRetryQueue(() => nowMs);
  const { signal } = new AbortController();
  expect(queue.add(turn(1, 2))).toBe(true);
  expect(queue.add(turn(2, 1))).toBe(true);
  expect(queue.add(turn(3, 4))).toBe(false);
  nowMs = 800;
  expect(await queue.next(signal)).toEqual(turn(2, 2));
  expect(await queue.next(signal)).toEqual(turn(1, 3));
  expect(await queue.next(signal)).toBeUndefined();
});

test('an item comes again no sooner than the handler says', async () => {
  let nowMs = 0;
  const queue = createRetryQueue(() => nowMs);
  const { signal } = new AbortController();
  queue.add(turn(1, 1), 5_000);
  queue.add(turn(2, 1), 100);
  nowMs = 5_000;
  expect((await queue.next(signal))?.item.seq).toBe(2);
  expect((await queue.next(signal))?.item.seq).toBe(1);
});

test('nothing comes again once the signal has aborted', async () => {
  const queue = createRetryQueue();
  queue.add(turn(1, 1));
  expect(await queue.next(AbortSignal.abort())).toBeUndefined();
});
