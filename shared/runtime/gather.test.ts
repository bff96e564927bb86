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
  await new Promise(setImmediate);
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

test('calls that are made together go together, also the first', async () => {
  const rounds: (readonly number[])[] = [];
  const echo = createGather(async (items: readonly number[]) => {
    rounds.push(items);
    return items;
  });
  await Promise.all([echo(1), echo(2), echo(3)]);
  expect(rounds).toEqual([[1, 2, 3]]);
});

test('with a wait, calls of the next turns go together too', async () => {
  const rounds: (readonly number[])[] = [];
  const echo = createGather(async (items: readonly number[]) => {
    rounds.push(items);
    return items;
  }, 50);
  const first = echo(1);
  await new Promise(setImmediate);
  await Promise.all([first, echo(2)]);
  expect(rounds).toEqual([[1, 2]]);
});
