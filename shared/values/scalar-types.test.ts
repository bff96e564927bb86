import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  booleanToWire,
  byteaToWire,
  doubleText,
  doubleToWire,
  floatText,
  floatToWire,
  jsonToWire,
  moneyToWire,
  timestampToWire,
  timestamptzToWire,
} from './scalar-types.ts';
import { UnreadableTextError } from './unreadable-text-error.ts';

test('a timestamp with time zone is RFC 3339 in UTC with the fraction as stored', () => {
  expect(timestamptzToWire('2026-01-02 03:04:05.123456+00')).toBe('2026-01-02T03:04:05.123456Z');
  expect(timestamptzToWire('2026-01-02 03:04:05.1+00')).toBe('2026-01-02T03:04:05.1Z');
  expect(timestamptzToWire('0001-01-01 00:00:00+00')).toBe('0001-01-01T00:00:00Z');
});

test('a timestamp that RFC 3339 has no form for keeps its text', () => {
  for (const text of ['infinity', '-infinity', '0044-03-15 00:00:00+00 BC', '10000-01-01 00:00:00+00']) {
    expect(timestamptzToWire(text)).toBe(text);
  }
  for (const text of ['infinity', '-infinity', '0044-03-15 00:00:00.5 BC', '294276-12-31 23:59:59.999999']) {
    expect(timestampToWire(text)).toBe(text);
  }
});

test('a timestamp without time zone gets none', () => {
  expect(timestampToWire('2026-01-02 03:04:05')).toBe('2026-01-02T03:04:05');
});

test('money is its sign, digits and point', () => {
  expect(moneyToWire('-$92,233,720,368,547,758.08')).toBe('-92233720368547758.08');
});

test('bytes are base64', () => {
  expect(byteaToWire('\\x00ff10')).toBe('AP8Q');
  expect(byteaToWire('\\x')).toBe('');
});

test('line breaks between tokens of JSON go and everything else stays', () => {
  expect(jsonToWire('{"a" :\r\n 1.10,\n"a": "x\\ny"}')).toBe('{"a" : 1.10,"a": "x\\ny"}');
});

test('a float8 has one form, whichever side printed it', () => {
  expect(doubleToWire('1e+20')).toBe('100000000000000000000');
  expect(doubleToWire('-0')).toBe('-0');
  expect(doubleToWire('-Infinity')).toBe('-Infinity');
});

test('a text that is not of its type is refused', () => {
  expect(() => booleanToWire('true')).toThrow(UnreadableTextError);
  expect(() => byteaToWire('\\000')).toThrow(UnreadableTextError);
  expect(() => byteaToWire('\\x0g')).toThrow(UnreadableTextError);
  expect(() => doubleToWire('')).toThrow(UnreadableTextError);
  expect(() => floatToWire('one')).toThrow(UnreadableTextError);
});

test('a float8 reads back as itself, the sign of zero included', () => {
  fc.assert(
    fc.property(fc.double(), (value) => {
      expect(Number(doubleText(value))).toBe(value);
    }),
  );
});

test('a float4 reads back as itself, the sign of zero included', () => {
  fc.assert(
    fc.property(fc.float(), (value) => {
      expect(Math.fround(Number(floatText(value)))).toBe(value);
    }),
  );
});

test('a float4 has no more digits than it needs', () => {
  expect(floatText(Math.fround(0.1))).toBe('0.1');
  expect(floatText(Math.fround(3.4028235e38))).toBe('3.4028235e+38');
  expect(floatText(Math.fround(1e-45))).toBe('1e-45');
  expect(floatText(16777216)).toBe('16777216');
  expect(floatText(-Math.fround(1.1))).toBe('-1.1');
});

test('at a power of two the shortest float4 may lie above the nearest decimal', () => {
  expect(floatText(2 ** 90)).toBe('1.2379401e+27');
  expect(floatText(2 ** -96)).toBe('1.2621775e-29');
  expect(floatText(2 ** 87)).toBe('1.5474251e+26');
});

test('halfway between two decimals the even one is taken, as PostgreSQL does', () => {
  expect(floatText(1217435.25)).toBe('1217435.2');
  expect(floatText(1217435.75)).toBe('1217435.8');
});
