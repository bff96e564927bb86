import { expect, test } from 'vitest';
import { keyOrderSql, keyValueSql, parseRecordKey } from './key-columns.ts';

test('a key is read back as its column’s type', () => {
  expect(keyValueSql({ name: 'id', sqlType: 'bigint', kind: 'long' }, 'k.c0')).toBe('k.c0::bigint');
  expect(keyValueSql({ name: 'id', sqlType: 'bytea', kind: 'bytes' }, 'k.c0')).toBe("decode(k.c0, 'base64')");
});

test('numbers are in order of size and texts in order of their characters', () => {
  expect(keyOrderSql({ name: 'id', sqlType: 'integer', kind: 'int' }, 'x')).toBe('x::numeric');
  expect(keyOrderSql({ name: 'id', sqlType: 'numeric(10,2)', kind: 'string' }, 'x')).toBe('x::numeric');
  expect(keyOrderSql({ name: 'id', sqlType: 'uuid', kind: 'string' }, 'x')).toBe('x collate "C"');
});

test('a record key has one text for each column', () => {
  expect(parseRecordKey('["7","a"]', 2)).toEqual(['7', 'a']);
  for (const text of ['[]', '["7"]', '["7",null]', '{"a":1}'])
    expect(() => parseRecordKey(text, 2)).toThrow();
});
