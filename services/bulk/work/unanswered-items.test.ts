import { expect, test } from 'vitest';
import { unansweredItems } from './unanswered-items.ts';

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
