import { expect, test } from 'vitest';
import { createTransactionSize } from './transaction-size.ts';

/** Transactions of a source that takes so long for each item, and for each commit. */
function settle(itemMs: number, commitMs: number): number {
  const size = createTransactionSize();
  for (let n = 0; n < 50; n += 1) size.note(size.items, commitMs + size.items * itemMs);
  return size.items;
}

test('the size settles where a transaction takes some twenty milliseconds', () => {
  expect(settle(0.05, 5)).toBe(300);
  expect(settle(0.1, 10)).toBe(100);
});

test('it has bounds: a commit is not made for a few items, nor for more than a chunk', () => {
  expect(settle(10, 5)).toBe(25);
  expect(settle(0.001, 1)).toBe(1_000);
});

test('one stall halves it at most, and the rest of a chunk says nothing', () => {
  const size = createTransactionSize();
  const before = size.items;
  size.note(before, 5_000);
  expect(size.items).toBe(before / 2);
  size.note(10, 0.1);
  expect(size.items).toBe(before / 2);
});
