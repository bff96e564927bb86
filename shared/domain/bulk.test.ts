import { expect, test } from 'vitest';
import { showItemId } from './bulk.ts';

test('an item is named by its key, and by a JSON array where that has several columns', () => {
  expect(showItemId(['42'])).toBe('42');
  expect(showItemId(['a"b', '7'])).toBe('["a\\"b","7"]');
});
