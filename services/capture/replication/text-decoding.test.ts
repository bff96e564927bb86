import { expect, test } from 'vitest';
import { CHECKED_UTF8, singleByteDecoding, UNCHECKED_UTF8 } from './text-decoding.ts';

test('a byte without a character is no text, and every other one is its own', () => {
  const latin = Array.from({ length: 128 }, (_, at) => String.fromCharCode(0x80 + at));
  latin[0] = '€';
  const decoding = singleByteDecoding('WIN1252', latin.with(1, undefined as unknown as string));
  const bytes = Buffer.from([0x61, 0x80, 0xe9, 0x81, 0x62]);
  expect(decoding.isText(bytes, 0, 3)).toBe(true);
  expect(decoding.decode(bytes, 0, 3)).toBe('a€é');
  expect(decoding.isText(bytes, 0, 4)).toBe(false);
  expect(decoding.isText(bytes, 4, 5)).toBe(true);
  expect(decoding.decode(bytes, 4, 5)).toBe('b');
});

test('UTF-8 is checked where the server does not', () => {
  const bytes = Buffer.from([0x61, 0xe9, 0x62]);
  expect(UNCHECKED_UTF8.isText(bytes, 0, 3)).toBe(false);
  expect(UNCHECKED_UTF8.isText(bytes, 0, 1)).toBe(true);
  expect(CHECKED_UTF8.isText(bytes, 0, 3)).toBe(true);
});
