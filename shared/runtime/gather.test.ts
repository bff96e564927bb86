import { expect, test } from 'vitest';
import { createGather } from './gather.ts';

test('calls made while one is on its way go together, each gets its own result, and a failure is theirs alone', async () => {
  const rounds: { items: readonly number[]; finish: PromiseWithResolvers<void> }[] = [];
  const double = createGather(async (items: readonly number[]) => {
    const round = { items, finish: Promise.withResolvers<void>() };
    rounds.push(round);
    await round.finish.promise;
    return items.map((item) => item * 2);
  });
  const first = double(1);
  const others = [double(2), double(3)];
  expect(rounds.map(({ items }) => items)).toEqual([[1]]);
  rounds[0]?.finish.resolve();
  expect(await first).toBe(2);
  await new Promise(setImmediate);
  expect(rounds[1]?.items).toEqual([2, 3]);
  const later = double(4);
  rounds[1]?.finish.reject(new Error('away'));
  expect((await Promise.allSettled(others)).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  await new Promise(setImmediate);
  rounds[2]?.finish.resolve();
  expect(await later).toBe(8);
});
