import { expect, test } from 'vitest';
import type { NumberedItem } from './apply-statement.ts';
import { createItemSupply } from './item-supply.ts';

const items = Array.from(
  { length: 5 },
  (_, seq): NumberedItem => ({
    seq,
    itemId: `${seq}`,
    key: [`${seq}`],
    line: null,
  }),
);

function setUp(answers: boolean[]) {
  const begun: number[][] = [];
  const looks: number[][] = [];
  const clock = { nowMs: 0 };
  const refused = new Set<number>();
  const supply = createItemSupply(items, {
    async check(left) {
      looks.push(left.map(({ seq }) => seq));
      return left.filter(({ seq }) => !refused.has(seq));
    },
    async begin(lot) {
      begun.push(lot.map(({ seq }) => seq));
      return answers.shift() ?? true;
    },
    now: () => clock.nowMs,
  });
  const next = async (count: number) =>
    (await Promise.all(Array.from({ length: count }, () => supply.next()))).map((item) => item?.seq);
  return { begun, looks, clock, refused, next };
}

test('lines that wait together are served by one question, each item once and in order', async () => {
  const { begun, next } = setUp([]);
  expect(await next(3)).toEqual([0, 1, 2]);
  expect(await next(1)).toEqual([3]);
  expect(await next(3)).toEqual([4, undefined, undefined]);
  expect(await next(1)).toEqual([undefined]);
  expect(begun).toEqual([[0, 1, 2], [3], [4]]);
});

test('once nothing is to be begun, nothing is handed out any more', async () => {
  const { begun, next } = setUp([true, false]);
  expect(await next(2)).toEqual([0, 1]);
  expect(await next(2)).toEqual([undefined, undefined]);
  expect(await next(1)).toEqual([undefined]);
  expect(begun).toHaveLength(2);
});

test('items are looked at again when the last look is some time ago, all that are left at once', async () => {
  const { looks, clock, refused, next } = setUp([]);
  refused.add(1);
  expect(await next(2)).toEqual([0, 2]);
  refused.add(3);
  clock.nowMs = 200;
  expect(await next(2)).toEqual([4, undefined]);
  expect(looks).toEqual([
    [0, 1, 2, 3, 4],
    [3, 4],
  ]);
});

test('a handler that answers at once costs one look', async () => {
  const { looks, clock, next } = setUp([]);
  for (let seq = 0; seq < 5; seq += 1) {
    clock.nowMs = seq * 30;
    expect(await next(1)).toEqual([seq]);
  }
  expect(looks).toHaveLength(1);
});

test('a question that fails is the failure of those who wait for it', async () => {
  const supply = createItemSupply(items, {
    check: async (left) => left,
    begin: () => Promise.reject(new Error('away')),
    now: () => 0,
  });
  const both = await Promise.allSettled([supply.next(), supply.next()]);
  expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
});
