import { expect, test } from 'vitest';
import { eachAlone } from './each-alone.ts';

function failing(...bad: number[]) {
  const tried: number[] = [];
  const work = async (item: number) => {
    tried.push(item);
    if (bad.includes(item)) throw new Error(`no ${item}`);
  };
  return { tried, work };
}

test('an item that fails is reported, and hinders no other', async () => {
  const failed: number[] = [];
  const { work } = failing(2);
  const result = await eachAlone([1, 2, 3], { onFailure: (item) => failed.push(item) }, work);
  expect(result).toEqual({ done: 2, isCutShort: false });
  expect(failed).toEqual([2]);
});

test('failures in a row leave the rest, since it is not the items that fail', async () => {
  const { tried, work } = failing(1, 3, 4);
  const each = { onFailure: () => undefined, maxFailuresInRow: 2 };
  expect(await eachAlone([1, 2, 3, 4, 5], each, work)).toEqual({ done: 1, isCutShort: true });
  expect(tried).toEqual([1, 2, 3, 4]);
});

test('nothing is begun after the signal', async () => {
  const stop = new AbortController();
  const each = { onFailure: () => undefined, signal: stop.signal };
  const result = await eachAlone([1, 2], each, async () => stop.abort());
  expect(result).toEqual({ done: 1, isCutShort: true });
});
