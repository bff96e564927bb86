import { expect, test } from 'vitest';
import { quotaMonth, quotaResetsAt, showItemId } from './bulk.ts';

test('an item is named by its key, and by a JSON array where that has several columns', () => {
  expect(showItemId(['42'])).toBe('42');
  expect(showItemId(['a"b', '7'])).toBe('["a\\"b","7"]');
});

test('a quota is of the calendar month in UTC, and is full again when the next one begins', () => {
  const last = Date.UTC(2026, 11, 31, 23, 59, 59, 999);
  expect(quotaMonth(last)).toBe('2026-12-01');
  expect(quotaResetsAt(last).toISOString()).toBe('2027-01-01T00:00:00.000Z');
  expect(quotaMonth(last + 1)).toBe('2027-01-01');
});
