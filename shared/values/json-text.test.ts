import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteWriter } from './byte-writer.ts';
import { jsonString } from './json-text.ts';
import { writeJsonString } from './json-writer.ts';
import { jsonToWire } from './scalar-types.ts';

/** Texts with the characters that matter: quotes, controls, line separators, their neighbours, and whatever else. */
const texts = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        '"',
        '\\',
        '\n',
        '\r',
        '\u0000',
        '\u0085',
        '\u2028',
        '\u2029',
        '\u2027',
        '\u00a0',
        'é',
        '𝒳',
      ),
      fc.string({ unit: 'grapheme' }),
      fc.constant('x'.repeat(4_094)),
    ),
  )
  .map((pieces) => pieces.join(''));

const LINE_BREAKS = /[\n\r\u0085\u2028\u2029]/;

function fromBytes(text: string, behind = ''): string {
  const out = new ByteWriter();
  const end = Buffer.byteLength(text);
  writeJsonString(out, Buffer.from(text + behind), 0, end);
  return out.bytes.subarray(0, out.length).toString();
}

test('a string is one line for every reader, and the same value', () => {
  fc.assert(
    fc.property(texts, (text) => {
      const json = jsonString(text);
      expect(LINE_BREAKS.test(json)).toBe(false);
      expect(JSON.parse(json)).toBe(text);
    }),
  );
});

test('bytes and texts give the same string', () => {
  fc.assert(
    fc.property(texts, (text) => {
      expect(fromBytes(text)).toBe(jsonString(text));
    }),
  );
});

test('a character that only begins at the end of a text is not taken for a separator', () => {
  // The bytes behind a text belong to the next column.
  const out = new ByteWriter();
  writeJsonString(out, Buffer.from('a\u2028'), 0, 2);
  expect(out.bytes.subarray(0, out.length)).toEqual(Buffer.from([0x22, 0x61, 0xe2, 0x22]));
  expect(fromBytes('a', '\u2028')).toBe('"a"');
});

test('a json column is one line, and the same value', () => {
  const stored = '{"a": "x\u2028y\u0085",\n "b\u2029": 1.10}';
  expect(jsonToWire(stored)).toBe('{"a": "x\\u2028y\\u0085", "b\\u2029": 1.10}');
  expect(JSON.parse(jsonToWire(stored))).toEqual(JSON.parse(stored));
});
