import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseExactJson } from '../../../shared/domain/exact-json.ts';
import { canonicalJson, readIdempotencyKey } from './idempotency.ts';

test('a key may be quoted, and means the same', () => {
  expect(readIdempotencyKey('k')).toBe('k');
  expect(readIdempotencyKey('"k"')).toBe('k');
  expect(readIdempotencyKey(' "a \\"b\\" c" ')).toBe('a "b" c');
  expect(readIdempotencyKey('x'.repeat(255))).toHaveLength(255);
  expect(readIdempotencyKey(undefined)).toBeUndefined();
});

test.each(['', '""', '  ', 'x'.repeat(256), 'a\tb', 'a\x7fb', '"\x01"'])('%j is no key', (header) => {
  expect(() => readIdempotencyKey(header)).toThrow('Idempotency-Key');
});

test('the order of keys does not matter, that of items does', () => {
  expect(canonicalJson({ b: [1, { d: null, c: 'x' }], a: true })).toBe(
    '{"a":true,"b":[1,{"c":"x","d":null}]}',
  );
  expect(canonicalJson([1, 2])).not.toBe(canonicalJson([2, 1]));
  expect(canonicalJson(undefined)).toBe('null');
});

test('numbers that differ in a digit that no double holds are not the same', () => {
  const textOf = (text: string) => canonicalJson(parseExactJson(text));
  expect(textOf('{"a":9007199254740993}')).toBe('{"a":9007199254740993}');
  expect(textOf('{"a":9007199254740992}')).not.toBe(textOf('{"a":9007199254740993}'));
});

test('any JSON keeps its value and has one text', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = canonicalJson(value);
      expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
      expect(canonicalJson(JSON.parse(text))).toBe(text);
    }),
  );
});
