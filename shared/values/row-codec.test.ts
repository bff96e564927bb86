import avro from 'avsc';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { dataRow } from '../../test/support/data-row.ts';
import type { RowType, ValueType } from '../domain/row-type.ts';
import { UnreadableMessageError } from './avro-reader.ts';
import { ByteWriter } from './byte-writer.ts';
import { createRowJson, toWireTexts } from './json-text.ts';
import { PgRow } from './pg-row.ts';
import { UnencodableRowError } from './row-body.ts';
import { createRowCodec } from './row-codec.ts';
import { scalarType } from './scalar-types.ts';
import { readRegistryId, WIRE_HEADER_BYTES } from './wire-format.ts';

const names = { namespace: 'tandem.samples', record: 'Row' };
const TYPES = [
  'int4',
  'int8',
  'float4',
  'float8',
  'bool',
  'bytea',
  'text',
  'jsonb',
  'timestamptz',
  'numeric',
];

function rowTypeOf(...types: ValueType[]): RowType {
  return {
    resource: 'samples',
    columns: types.map((type, index) => ({ name: `${type.pgName} ${index}`, type, isKey: index === 0 })),
  };
}

const sampleRowType = rowTypeOf(scalarType('int8', -1), ...TYPES.map((name) => scalarType(name, -1)));
const sampleCodec = createRowCodec(sampleRowType, names);

const longText = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String);
/** Lengths around each size of the length's own varint, with characters of one to four bytes. */
const anyText = fc
  .oneof(
    fc.string({ unit: 'binary', maxLength: 100 }),
    fc
      .tuple(
        fc.constantFrom('a', '"', 'é', '€', '😀', '\u0001'),
        fc.constantFrom(20, 31, 32, 40, 41, 63, 64, 4096, 8191, 8192),
      )
      .map(([character, count]) => character.repeat(count)),
  )
  .map((text) => text.toWellFormed());

const pgTextOf: Record<string, fc.Arbitrary<string>> = {
  int4: fc.integer().map(String),
  int8: fc.oneof(longText, fc.maxSafeInteger().map(String)),
  float4: fc.float().map(String),
  float8: fc.double().map(String),
  bool: fc.constantFrom('t', 'f'),
  bytea: fc.uint8Array().map((bytes) => `\\x${Buffer.from(bytes).toString('hex')}`),
  text: anyText,
  jsonb: fc.json(),
  timestamptz: fc.constantFrom('2026-01-02 03:04:05.123456+00', 'infinity', '0044-03-15 00:00:00+00 BC'),
  numeric: fc.constantFrom('NaN', '1.5000', '123456789012345678901234567890123456789'),
};

const sampleRow = fc.tuple(longText, ...TYPES.map((name) => fc.option(pgTextOf[name] ?? fc.constant(''))));

test('a decoded row has the wire texts of the encoded one', () => {
  fc.assert(
    fc.property(sampleRow, (row) => {
      expect(sampleCodec.decode(sampleCodec.encode(row, 7))).toEqual(toWireTexts(sampleRowType, row));
    }),
  );
});

test('the short way to JSON gives the same text as the long one, and it is JSON', () => {
  fc.assert(
    fc.property(sampleRow, (row) => {
      const message = sampleCodec.encode(row, 7);
      const json = sampleCodec.decodeToJson(message);
      expect(json).toBe(sampleCodec.toJson(sampleCodec.decode(message)));
      expect(Object.keys(JSON.parse(json))).toHaveLength(sampleRowType.columns.length);
    }),
  );
});

function pgRow(texts: readonly (string | Buffer | null)[]): PgRow {
  const row = new PgRow();
  const body = dataRow(texts);
  row.read(body, 0, body.length);
  return row;
}

test('a row encoded from its bytes is the message that its texts make', () => {
  fc.assert(
    fc.property(sampleRow, (row) => {
      expect(sampleCodec.encodeRow(pgRow(row), 7).toBuffer()).toEqual(sampleCodec.encode(row, 7));
    }),
  );
});

test.each([
  ['timestamptz', '2026-01-02 03:04:05+00'],
  ['timestamptz', '2026-01-02 03:04:05.1+00'],
  ['timestamptz', '2026-01-02 03:04:05.123456+05:30'],
  ['timestamptz', '10000-01-02 03:04:05+00'],
  ['timestamptz', '-infinity'],
  ['jsonb', '{"a": "\\n"}'],
  ['json', '{"a":\n  [1,\r\n2]}'],
  ['json', ''],
  ['int4', '-2147483648'],
  ['int8', '-9223372036854775808'],
  ['int8', '999999999999999'],
  ['int8', '-0'],
  ['text', ''],
  ['text', 'é'.repeat(20)],
  ['text', 'é'.repeat(21)],
  ['varchar', 'x'.repeat(100_000)],
])('%s %j is the same from bytes as from text', (name, text) => {
  const rowType = rowTypeOf(scalarType('int8', -1), scalarType(name, -1));
  const codec = createRowCodec(rowType, names);
  expect(codec.encodeRow(pgRow(['1', text]), 7).toBuffer()).toEqual(codec.encode(['1', text], 7));
});

test('columns beyond the rowType are left out, and too few are refused', () => {
  const texts = ['1', ...TYPES.map(() => null)];
  expect(sampleCodec.encodeRow(pgRow([...texts, 'acc_1']), 7).toBuffer()).toEqual(
    sampleCodec.encode(texts, 7),
  );
  expect(() => sampleCodec.encodeRow(pgRow(['1']), 7)).toThrow(RangeError);
});

test.each([
  ['int4', '1x'],
  ['int4', ''],
  ['int8', '-'],
  ['int8', '9223372036854775808'],
  ['bool', 'true'],
  ['float8', ''],
  ['bytea', 'abc'],
])('%s %j is refused from bytes as from text', (name, text) => {
  const codec = createRowCodec(rowTypeOf(scalarType('int8', -1), scalarType(name, -1)), names);
  expect(() => codec.encode(['1', text], 7)).toThrow(UnencodableRowError);
  expect(() => codec.encodeRow(pgRow(['1', text]), 7)).toThrow(UnencodableRowError);
});

test('a null key is refused, and bytes that are not UTF-8 are replaced as everywhere', () => {
  const codec = createRowCodec(rowTypeOf(scalarType('int8', -1), scalarType('text', -1)), names);
  expect(() => codec.encodeRow(pgRow([null, 'x']), 7)).toThrow(UnencodableRowError);
  for (const count of [1, 100]) {
    const bytes = Buffer.concat([Buffer.from('a'), Buffer.alloc(count, 0xff)]);
    expect(codec.encodeRow(pgRow(['1', bytes]), 7).toBuffer()).toEqual(
      codec.encode(['1', bytes.toString()], 7),
    );
  }
});

test('a selection of columns is the row without the others', () => {
  const selection = fc.subarray(sampleRowType.columns.map(({ name }) => name));
  fc.assert(
    fc.property(sampleRow, selection, (row, selected) => {
      const message = sampleCodec.encode(row, 1);
      const only = new Set(selected);
      const rowType = {
        ...sampleRowType,
        columns: sampleRowType.columns.filter(({ name }) => only.has(name)),
      };
      const texts = sampleCodec
        .decode(message)
        .filter((_, at) => only.has(sampleRowType.columns[at]?.name ?? ''));
      const json = new ByteWriter();
      sampleCodec.appendJson(message, json, only);
      expect(json.toText()).toBe(createRowJson(rowType).toJson(texts));
      const array = new ByteWriter();
      sampleCodec.appendTexts(message, array, only);
      expect(JSON.parse(array.toText())).toEqual(texts);
    }),
  );
});

test('another Avro library reads the same values', () => {
  const type = avro.Type.forSchema(JSON.parse(JSON.stringify(sampleCodec.schema)), {
    registry: { long: longAsBigInt },
    wrapUnions: false,
  });
  fc.assert(
    fc.property(sampleRow, (row) => {
      const body = sampleCodec.encode(row, 7).subarray(WIRE_HEADER_BYTES);
      const values = Object.values(type.fromBuffer(body) as Record<string, unknown>);
      const wire = toWireTexts(sampleRowType, row);
      const expected = sampleRowType.columns.map(({ type: { kind } }, index) =>
        avroValue(kind, wire[index] ?? null),
      );
      expect(values).toEqual(expected);
    }),
  );
});

const longAsBigInt = avro.types.LongType.__with({
  fromBuffer: (buffer: Buffer) => buffer.readBigInt64LE(),
  toBuffer: (value: bigint) => {
    const buffer = Buffer.alloc(8);
    buffer.writeBigInt64LE(value);
    return buffer;
  },
  fromJSON: BigInt,
  toJSON: Number,
  isValid: (value: unknown) => typeof value === 'bigint',
  compare: (a: bigint, b: bigint) => (a === b ? 0 : a < b ? -1 : 1),
});

function avroValue(kind: ValueType['kind'], wire: string | null): unknown {
  if (wire === null) return null;
  if (kind === 'long') return BigInt(wire);
  if (kind === 'int' || kind === 'double') return Number(wire);
  if (kind === 'float') return Math.fround(Number(wire));
  if (kind === 'boolean') return wire === 'true';
  return kind === 'bytes' ? Buffer.from(wire, 'base64') : wire;
}

test('integers keep all their digits and floats have one form', () => {
  const rowType = rowTypeOf(scalarType('int8', -1), scalarType('float8', -1), scalarType('float4', -1));
  const codec = createRowCodec(rowType, names);
  const json = codec.decodeToJson(codec.encode(['9223372036854775807', '-0', 'NaN'], 1));
  expect(json).toBe('{"int8 0":9223372036854775807,"float8 1":-0,"float4 2":"NaN"}');
});

test('a row of no columns is an empty object', () => {
  const codec = createRowCodec(rowTypeOf(), names);
  expect(codec.decodeToJson(codec.encode([], 1))).toBe('{}');
  expect(codec.toJson([])).toBe('{}');
});

test('a message says which schema it was written with', () => {
  const codec = createRowCodec(rowTypeOf(scalarType('int4', -1)), names);
  expect(readRegistryId(codec.encode(['1'], 4_000_000_000))).toBe(4_000_000_000);
  expect(() => readRegistryId(Buffer.from('{"id":1}'))).toThrow(UnreadableMessageError);
});

test.each([
  ['int8', ''],
  ['int8', '-'],
  ['int8', '1.5'],
  ['int8', '9223372036854775808'],
  ['bool', 'yes'],
  ['float8', 'x'],
  ['bytea', '\\x0'],
])('a text that is not of its type %s is refused with the column’s name: %j', (name, text) => {
  const codec = createRowCodec(rowTypeOf(scalarType(name, -1)), names);
  expect(() => codec.encode([text], 1)).toThrow(UnencodableRowError);
  expect(() => codec.encode([text], 1)).toThrow(`column "${name} 0"`);
});

test('a null key and a row of another width are refused', () => {
  const codec = createRowCodec(rowTypeOf(scalarType('int8', -1)), names);
  expect(() => codec.encode([null], 1)).toThrow(UnencodableRowError);
  expect(() => codec.encode(['1', '2'], 1)).toThrow(RangeError);
});

test('a message cut short or too long is refused, never misread', () => {
  const row = ['1', '2', '3', '1.5', '2.5', 't', '\\x00ff', 'text', '{"a": 1}', null, '1.50'];
  const message = sampleCodec.encode(row, 7);
  for (let length = WIRE_HEADER_BYTES; length < message.length; length += 1) {
    expect(() => sampleCodec.decode(message.subarray(0, length))).toThrow(UnreadableMessageError);
    expect(() => sampleCodec.decodeToJson(message.subarray(0, length))).toThrow(UnreadableMessageError);
  }
  expect(() => sampleCodec.decode(Buffer.concat([message, Buffer.of(0)]))).toThrow(UnreadableMessageError);
});

test('damage of any kind ends in an error or in a row, never in a crash', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        sampleCodec.decodeToJson(Buffer.concat([Buffer.alloc(WIRE_HEADER_BYTES), bytes]));
      } catch (error) {
        expect(error).toBeInstanceOf(UnreadableMessageError);
      }
    }),
  );
});

test('a huge row does not keep its memory and does not disturb the next', () => {
  const codec = createRowCodec(rowTypeOf(scalarType('text', -1)), names);
  const huge = '€'.repeat(3_000_000);
  expect(codec.decode(codec.encode([huge], 1))).toEqual([huge]);
  expect(codec.decodeToJson(codec.encode(['small'], 1))).toBe('{"text 0":"small"}');
});
