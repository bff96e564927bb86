import { expect, test } from 'vitest';
import { accountPartition, chunkPartition } from './account-partition.ts';

test('an account stays in the partition it has always had', () => {
  // FNV-1a of the empty text, of "a" and of "foobar" as published with the algorithm: 811c9dc5, e40c292c, bf9cf968.
  expect(accountPartition('', 0x1_0000_0000)).toBe(0x811c9dc5);
  expect(accountPartition('a', 0x1_0000_0000)).toBe(0xe40c292c);
  expect(accountPartition('foobar', 0x1_0000_0000)).toBe(0xbf9cf968);
  expect(accountPartition('acc_001', 12)).toBe(accountPartition('acc_001', 12));
});

test('accounts are spread over all partitions', () => {
  const seen = new Set(Array.from({ length: 500 }, (_, n) => accountPartition(`acc_${n}`, 12)));
  expect(seen.size).toBe(12);
});

test('a chunk of an export goes to the partition behind that of the chunk before, whichever attempt it is', () => {
  const places = [0, 1, 2, 6, 7].map((chunk) => chunkPartition({ exportId: 'exp_1', chunk }, 6));
  const [first = 0] = places;
  expect(places).toEqual([0, 1, 2, 0, 1].map((step) => (first + step) % 6));
});

test('exports of one chunk are spread over all partitions', () => {
  const seen = new Set(
    Array.from({ length: 200 }, (_, n) => chunkPartition({ exportId: `exp_${n}`, chunk: 0 }, 6)),
  );
  expect(seen.size).toBe(6);
});
