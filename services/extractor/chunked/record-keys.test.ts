import { expect, test } from 'vitest';
import { packRecordKeys, unpackRecordKeys } from './record-keys.ts';

test('keys come back as they were, with line breaks in them, and none', async () => {
  const keys = ['["1"]', JSON.stringify(['a\nb', 'ü"']), '["2"]'];
  expect(await unpackRecordKeys(await packRecordKeys(keys))).toEqual(keys);
  expect(await unpackRecordKeys(await packRecordKeys([]))).toEqual([]);
});
