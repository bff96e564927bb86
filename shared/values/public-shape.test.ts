import fc from 'fast-check';
import { expect, test } from 'vitest';
import { anyFieldRow, anyFields, anyJson, fieldRowType } from '../../test/support/any-fields.ts';
import type { PublicField } from '../domain/public-field.ts';
import { ByteWriter } from './byte-writer.ts';
import { jsonMember } from './json-member.ts';
import { createRowJson, toWireTexts } from './json-text.ts';
import { createPublicShape } from './public-shape.ts';
import { createRowCodec } from './row-codec.ts';
import { readRowSchema, rowSchema } from './row-schema.ts';

const names = { namespace: 'tandem.samples', record: 'Row' };
const ROW = ['7', '1', 'x', 't', '{"city": {"name": "Bern", "zip": 3000}}', '1.10', '2026-01-02 03:04:05+00'];

function shown(fields: readonly PublicField[], row: readonly (string | null)[] = ROW): unknown {
  const rowType = fieldRowType(fields);
  return JSON.parse(createRowCodec(rowType, names).toJson(toWireTexts(rowType, row)));
}

test('fields rename, order and leave out columns, and add constants, named values and parts of documents', () => {
  const fields: PublicField[] = [
    { name: 'currency', value: 'EUR' },
    { name: 'status', column: 'state', map: { 0: 'draft', 1: 'open' } },
    { name: 'id', column: 'id' },
    { name: 'city', column: 'data', path: ['city', 'name'], type: 'text' },
    { name: 'zip', column: 'data', path: ['city', 'zip'], type: 'json' },
    { name: 'region', column: 'data', path: ['region'], type: 'text' },
    { name: 'level', column: 'is_open', map: { true: 1 }, otherwise: 0 },
  ];
  expect(Object.entries(shown(fields) as object)).toEqual([
    ['currency', 'EUR'],
    ['status', 'open'],
    ['id', 7],
    ['city', 'Bern'],
    ['zip', 3000],
    ['region', null],
    ['level', 1],
  ]);
  const types = createPublicShape(fieldRowType(fields)).rowType.columns.map(({ type, isKey }) => [
    type.pgName,
    isKey,
  ]);
  expect(types).toEqual([
    ['text', false],
    ['text', false],
    ['int8', true],
    ['text', false],
    ['jsonb', false],
    ['text', false],
    ['int8', false],
  ]);
});

test('a value that a map does not name is published as it is, or as what the catalog has for all others', () => {
  const row = ROW.with(1, '42');
  const map = { 0: 'draft' };
  expect(
    shown(
      [
        { name: 'id', column: 'id' },
        { name: 'status', column: 'state', map },
      ],
      row,
    ),
  ).toEqual({
    id: 7,
    status: '42',
  });
  const closed: PublicField = { name: 'status', column: 'state', map, otherwise: 'other' };
  expect(shown([{ name: 'id', column: 'id' }, closed], row)).toEqual({ id: 7, status: 'other' });
  expect(shown([{ name: 'id', column: 'id' }, closed], ROW.with(1, null as never))).toEqual({
    id: 7,
    status: null,
  });
});

test('a member of a document keeps its digits, and of members with one name the last one counts', () => {
  fc.assert(
    fc.property(
      anyJson,
      fc.array(fc.constantFrom('a', 'b', 'city', 'a.b', '"', 'é'), { maxLength: 3 }),
      (json, path) => {
        const expected = path.reduce<unknown>((value, name) => {
          const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
          return isObject && Object.hasOwn(value, name)
            ? (value as Record<string, unknown>)[name]
            : undefined;
        }, JSON.parse(json));
        const found = jsonMember(json, path);
        expect(found === undefined ? undefined : JSON.parse(found)).toEqual(expected);
      },
    ),
  );
  expect(jsonMember('{"n": 9007199254740993, "n": 1.10}', ['n'])).toBe('1.10');
});

test('files in JSON and in texts have what the shape makes of the row, whole or in parts', () => {
  fc.assert(
    fc.property(anyFields, anyFieldRow, fc.nat(), (fields, row, seed) => {
      const rowType = fieldRowType(fields);
      const codec = createRowCodec(rowType, names);
      const { rowType: shownType, apply } = createPublicShape(rowType);
      const message = codec.encode(row, 1);
      const texts = apply(toWireTexts(rowType, row));
      expect(codec.decodeToJson(message)).toBe(createRowJson(shownType).toJson(texts));
      const all = shownType.columns.map(({ name }) => name);
      const only = new Set(all.filter((_, index) => (seed >> index) % 2 === 0));
      const out = new ByteWriter();
      codec.appendTexts(message, out, only);
      expect(JSON.parse(out.toText())).toEqual(texts.filter((_, index) => only.has(all[index] ?? '')));
      out.reset();
      codec.appendJson(message, out, only);
      expect(Object.keys(JSON.parse(out.toText()))).toEqual(all.filter((name) => only.has(name)));
    }),
  );
});

test('a row made of public values is published as these values again, and can be encoded', () => {
  fc.assert(
    fc.property(anyFields, anyFieldRow, (fields, row) => {
      const rowType = fieldRowType(fields);
      const { apply, restore } = createPublicShape(rowType);
      const published = apply(toWireTexts(rowType, row));
      const restored = restore(published);
      expect(apply(restored)).toEqual(published);
      const codec = createRowCodec(rowType, names);
      expect(codec.decode(codec.encodeWire(restored, 1))).toEqual(restored);
    }),
    { numRuns: 500 },
  );
});

test('the schema in the registry carries the fields, and without them is what it was', () => {
  fc.assert(
    fc.property(anyFields, (fields) => {
      const schema = JSON.parse(JSON.stringify(rowSchema(fieldRowType(fields), names)));
      expect(readRowSchema(schema).fields).toEqual(fields);
    }),
  );
  expect(rowSchema(fieldRowType(undefined), names)).not.toHaveProperty('public_fields');
});

test('a field of a column that is not there is refused', () => {
  expect(() => createPublicShape(fieldRowType([{ name: 'x', column: 'gone' }]))).toThrow(
    'has no column "gone"',
  );
});
