import { expect, test } from 'vitest';
import { createTransactionSize, createTransactionSizes } from './transaction-size.ts';

/** Transactions of a source that takes so long for each item, and for each commit. */
function settle(itemMs: number, commitMs: number): number {
  const size = createTransactionSize();
  for (let n = 0; n < 50; n += 1) size.record(size.items, commitMs + size.items * itemMs);
  return size.items;
}

test('the size settles where a transaction takes some twenty milliseconds', () => {
  expect(settle(0.05, 5)).toBe(300);
  expect(settle(0.1, 10)).toBe(99);
});

test('it has bounds: a commit is not made for a few items, nor for more than a chunk', () => {
  expect(settle(10, 5)).toBe(25);
  expect(settle(0.001, 1)).toBe(1_000);
});

test('items that take long by themselves are done one by one', () => {
  expect(settle(300, 5)).toBe(1);
});

test('no transaction of unknown items is long, and a slow-down shows within three of them', () => {
  const size = createTransactionSize();
  expect(size.items * 100).toBeLessThanOrEqual(1_000);
  for (let n = 0; n < 10; n += 1) size.record(size.items, 1);
  expect(size.items).toBe(1_000);
  for (let n = 0; n < 3; n += 1) size.record(size.items, size.items * 25);
  expect(size.items).toBeLessThan(25);
});

test('one stall quarters it at most, and the rest of a chunk says nothing', () => {
  const size = createTransactionSize();
  for (let n = 0; n < 4; n += 1) size.record(size.items, 10);
  const before = size.items;
  size.record(before, 400);
  expect(size.items).toBe(before / 4);
  size.record(4, 0.1);
  expect(size.items).toBe(before / 4);
});

test('each job has a size of its own', () => {
  const sizes = createTransactionSizes();
  sizes.of('a').record(10, 5);
  expect(sizes.of('a').items).toBe(40);
  expect(sizes.of('b').items).toBe(10);
  for (let n = 0; n < 200; n += 1) sizes.of(`c${n}`);
  expect(sizes.of('a').items).toBe(10);
});
