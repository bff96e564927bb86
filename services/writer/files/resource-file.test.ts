import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import type { RowType } from '../../../shared/domain/row-type.ts';
import { keyLines } from './resource-file.ts';

/** The table has its columns in another order than the key. */
const ROW_TYPE: RowType = {
  resource: 'lines',
  columns: [
    { name: 'position', type: { kind: 'int', pgName: 'int4' }, isKey: true },
    { name: 'code', type: { kind: 'string', pgName: 'text' }, isKey: true },
  ],
};

const KEYS = {
  async *pages() {
    yield ['["a\\"b","1"]', '["c","9007199254740993"]'];
    yield ['["d","3"]'];
  },
};

const UNLIMITED = new AbortController().signal;

test('a deleted key is an object with its columns in column order', async () => {
  expect(await text(keyLines(KEYS, ['code', 'position'], ROW_TYPE, 'json', UNLIMITED))).toBe(
    '{"position":1,"code":"a\\"b"}\n{"position":9007199254740993,"code":"c"}\n{"position":3,"code":"d"}\n',
  );
});

test('for formats of columns it is the texts in column order', async () => {
  expect(await text(keyLines(KEYS, ['code', 'position'], ROW_TYPE, 'texts', UNLIMITED))).toBe(
    '["1","a\\"b"]\n["9007199254740993","c"]\n["3","d"]\n',
  );
});

test('keys of other columns are refused', async () => {
  await expect(text(keyLines(KEYS, ['code'], ROW_TYPE, 'json', UNLIMITED))).rejects.toThrow(
    'not that of its rows',
  );
});
