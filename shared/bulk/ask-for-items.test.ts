import { expect, test } from 'vitest';
import { runWorkers } from './ask-for-items.ts';

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
