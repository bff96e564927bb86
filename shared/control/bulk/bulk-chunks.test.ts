import { expect, test } from 'vitest';
import { chunkItemsOf } from './bulk-chunks.ts';

test('a chunk holds no more items than may fail, within what a chunk is good for', () => {
  const table = { isHttp: false, maxFailures: null };
  expect(chunkItemsOf(table, 1_000)).toBe(1_000);
  expect(chunkItemsOf({ ...table, maxFailures: 1 }, 1_000)).toBe(20);
  expect(chunkItemsOf({ ...table, maxFailures: 300 }, 1_000)).toBe(300);
  expect(chunkItemsOf({ ...table, maxFailures: 5_000 }, 1_000)).toBe(1_000);
  expect(chunkItemsOf({ ...table, maxFailures: 5 }, 10)).toBe(10);
  expect(chunkItemsOf({ isHttp: true, maxFailures: null }, 1_000)).toBe(50);
  expect(chunkItemsOf({ isHttp: true, maxFailures: 30 }, 1_000)).toBe(30);
});
