import { expect, test } from 'vitest';
import type { ColumnDescription } from '../catalog/describe-table.ts';
import { canBeNamed, markDuplicates, readItemId } from './item-ids.ts';

const column = (name: string, typeName: string, baseTypeOid: number): ColumnDescription => ({
  name,
  typeName,
  typeOid: baseTypeOid,
  baseTypeOid,
  typeModifier: -1,
  isNotNull: true,
  isGenerated: false,
});

const BIGINT = column('id', 'bigint', 20);
const SMALLINT = column('n', 'smallint', 21);
const UUID = column('id', 'uuid', 2950);
const TEXT = column('code', 'text', 25);

test('an ID has one spelling, whichever it came with', () => {
  for (const raw of ['7', '007', '+7', 7]) expect(readItemId(raw, [BIGINT])).toEqual({ key: ['7'] });
  const uuid = '0F9DE6D5-9C0A-4C8B-B1A5-0123456789AB';
  expect(readItemId(uuid, [UUID])).toEqual({ key: [uuid.toLowerCase()] });
  expect(readItemId(' x ', [TEXT])).toEqual({ key: [' x '] });
});

test('an ID that no row can have is an invalid item with its line', () => {
  const bad = (raw: string, of: ColumnDescription) => readItemId(raw, [of], 3);
  expect(bad('7x', BIGINT)).toMatchObject({ id: '7x', code: 'invalid_id', line: 3 });
  expect(bad('9223372036854775808', BIGINT)).toMatchObject({ code: 'invalid_id' });
  expect(readItemId('-9223372036854775808', [BIGINT])).toEqual({ key: ['-9223372036854775808'] });
  expect(bad('32768', SMALLINT)).toMatchObject({ code: 'invalid_id' });
  expect(bad('1.0', BIGINT)).toMatchObject({ code: 'invalid_id' });
  expect(bad('not-a-uuid', UUID)).toMatchObject({ code: 'invalid_id' });
  expect(bad('a\0', TEXT)).toMatchObject({ code: 'invalid_id' });
  expect(bad('x'.repeat(1_001), TEXT)).toMatchObject({ code: 'invalid_id' });
});

test('a key of several columns is a list, in JSON where it comes as a text', () => {
  const key = [BIGINT, TEXT];
  expect(readItemId([7, 'a'], key)).toEqual({ key: ['7', 'a'] });
  expect(readItemId('["7","a"]', key)).toEqual({ key: ['7', 'a'] });
  expect(readItemId('[9007199254740993,"a"]', key)).toEqual({ key: ['9007199254740993', 'a'] });
  expect(readItemId('[1e999999999,"a"]', key)).toMatchObject({ code: 'invalid_id' });
  expect(readItemId('7', key)).toMatchObject({ code: 'invalid_id' });
  expect(readItemId(['7'], key)).toMatchObject({ code: 'invalid_id' });
});

test('the first of equal IDs counts', () => {
  const items = ['1', 'x', '01', '2', 'x'].map((raw) => readItemId(raw, [BIGINT]));
  expect(markDuplicates(items)).toMatchObject([
    { key: ['1'] },
    { code: 'invalid_id' },
    { id: '1', code: 'duplicate' },
    { key: ['2'] },
    { code: 'invalid_id' },
  ]);
});

test('keys whose texts can not be checked here can not be named', () => {
  expect(canBeNamed([BIGINT, TEXT, UUID])).toBe(true);
  expect(canBeNamed([column('at', 'timestamp with time zone', 1184)])).toBe(false);
  expect(canBeNamed([{ ...TEXT, equality: 'collation' }])).toBe(false);
});
