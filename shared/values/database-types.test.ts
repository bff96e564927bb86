import { expect, test } from 'vitest';
import { createTypes, type TypeRow, UnknownTypeError } from './database-types.ts';
import { pgToJson } from './json-text.ts';

function typeRow(row: Partial<TypeRow> & Pick<TypeRow, 'oid' | 'name'>): TypeRow {
  return {
    schema: 'pg_catalog',
    extension: null,
    baseOid: null,
    baseTypmod: -1,
    elementOid: null,
    delimiter: null,
    attributes: null,
    ...row,
  };
}

const own = { schema: 'public' };
const types = createTypes([
  typeRow({ oid: 20, name: 'int8' }),
  typeRow({ oid: 25, name: 'text' }),
  typeRow({ oid: 17, name: 'bytea' }),
  typeRow({ oid: 1700, name: 'numeric' }),
  typeRow({ oid: 1231, name: '_numeric', elementOid: 1700, delimiter: ',' }),
  typeRow({ oid: 900, name: 'price', ...own, baseOid: 1700, baseTypmod: ((12 << 16) | 2) + 4 }),
  typeRow({ oid: 901, name: 'fair_price', ...own, baseOid: 900 }),
  typeRow({
    oid: 902,
    name: 'item',
    ...own,
    attributes: [
      { name: 'id "1"', oid: 20 },
      { name: 'tags', oid: 903 },
    ],
  }),
  typeRow({ oid: 903, name: '_text', elementOid: 25, delimiter: ',' }),
  typeRow({ oid: 904, name: '_item', ...own, elementOid: 902, delimiter: ',' }),
  typeRow({ oid: 905, name: 'hstore', schema: 'extensions', extension: 'hstore' }),
  typeRow({ oid: 906, name: 'hstore', ...own }),
  typeRow({ oid: 907, name: '_bytea', elementOid: 17, delimiter: ',' }),
]);

test('a domain is its base, however deep', () => {
  expect(types.valueType(901)).toEqual(types.valueType(1700, ((12 << 16) | 2) + 4));
});

test('a numeric names its declared precision and scale, a negative one too', () => {
  expect(types.valueType(1700).pgName).toBe('numeric');
  expect(types.valueType(1700, ((10 << 16) | 4) + 4).pgName).toBe('numeric(10,4)');
  expect(types.valueType(1700, ((3 << 16) | (-2 & 0x7ff)) + 4).pgName).toBe('numeric(3,-2)');
  expect(types.valueType(1231, ((10 << 16) | 4) + 4).pgName).toBe('numeric(10,4)[]');
});

test('arrays of composites of arrays nest', () => {
  const text = '{"(1,\\"{a,\\"\\"b c\\"\\"}\\")","(,)"}';
  expect(pgToJson(types.valueType(904), text)).toBe(
    '[{"id \\"1\\"":1,"tags":["a","b c"]},{"id \\"1\\"":null,"tags":null}]',
  );
  expect(types.valueType(904).pgName).toBe('public.item[]');
});

test('bytes inside an array are base64 too', () => {
  expect(pgToJson(types.valueType(907), '{"\\\\x00ff10"}')).toBe('["AP8Q"]');
});

test('only the extension’s hstore is an object', () => {
  expect(pgToJson(types.valueType(905), '"a"=>"1"')).toBe('{"a":"1"}');
  expect(types.valueType(906).kind).toBe('string');
});

test('a type made later is told by its OID', () => {
  expect(() => types.valueType(4711)).toThrow(new UnknownTypeError(4711));
});
