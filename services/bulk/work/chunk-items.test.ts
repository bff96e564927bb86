import { expect, test } from 'vitest';
import { splitItems, unansweredItems } from './chunk-items.ts';

test('items are numbered by their place, and what is done is left out', () => {
  const items = [
    { key: ['1'] },
    { id: 'x', code: 'invalid_id' as const, message: 'is not of type bigint', line: 7 },
    { key: ['2'] },
    { id: '1', code: 'duplicate' as const },
  ];
  const { decided, open } = splitItems({ firstSeq: 100, items }, new Set([100]));
  expect(open).toEqual([{ seq: 102, itemId: '2', key: ['2'], line: null }]);
  expect(decided).toMatchObject([
    { seq: 101, itemId: 'x', status: 'failed', code: 'invalid_id', line: 7 },
    { seq: 103, itemId: '1', status: 'skipped', code: 'duplicate' },
  ]);
});

test('items that were begun fail with a reason that leaves open what the handler did, and no others', () => {
  const items = [
    { key: ['1'] },
    { id: '1', code: 'duplicate' as const },
    { key: ['2'], line: 7 },
    { key: ['3'] },
  ];
  expect(unansweredItems({ firstSeq: 100, items, begun: [102] })).toMatchObject([
    { seq: 102, itemId: '2', line: 7, status: 'failed', code: 'handler_timeout' },
  ]);
  expect(unansweredItems({ firstSeq: 100, items, begun: [] })).toEqual([]);
});
