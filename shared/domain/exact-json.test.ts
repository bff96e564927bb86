import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ExactNumber, parseExactJson, toDouble, wholeDigits } from './exact-json.ts';

test('numbers that a double would write otherwise keep their digits, the rest are numbers', () => {
  const digits = ['9007199254740993', '1.10', '1e400', '-0', '1E2', '0.1000000000000000055'];
  expect(parseExactJson(`[${digits.join(',')}]`)).toEqual(digits.map((text) => new ExactNumber(text)));
  expect(parseExactJson('[0, -1, 1.5, 9007199254740991, 1e+21]')).toEqual([
    0,
    -1,
    1.5,
    Number.MAX_SAFE_INTEGER,
    1e21,
  ]);
});

test('what is parsed is written as it came', () => {
  const text = '{"a":[1.10,{"b":-0}],"1.10":"1.10 \\" 1e400","c":12345678901234567890}';
  expect(JSON.stringify(parseExactJson(text))).toBe(text);
  expect(`${parseExactJson('1.10')}`).toBe('1.10');
});

test('what is no JSON does not become JSON', () => {
  for (const text of [
    '{1.10:1}',
    '[01.10]',
    '[1.]',
    '[.5]',
    '[+1.10]',
    '[1.10 1.10]',
    '-',
    '1e',
    '"1.10',
    '',
  ]) {
    expect(() => parseExactJson(text), text).toThrow(SyntaxError);
  }
});

test('any JSON is parsed as ever', () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      const plain = JSON.stringify(JSON.parse(text));
      expect(JSON.stringify(JSON.parse(JSON.stringify(parseExactJson(text))))).toBe(plain);
    }),
  );
});

test('a double stands for digits only where it holds their value', () => {
  const double = (digits: string) => toDouble(new ExactNumber(digits));
  expect(['1.10', '1e2', '-0', '100.0', '0.0e5'].map(double)).toEqual([1.1, 100, -0, 100, 0]);
  expect(['9007199254740993', '1e400', '1e-400', '0.10000000000000000001'].map(double)).toEqual(
    Array(4).fill(undefined),
  );
});

test('a whole number loses its point and exponent only', () => {
  const whole = (digits: string) => wholeDigits(new ExactNumber(digits));
  expect(['1.0', '-1e2', '9007199254740993.00', '-0', '1.50'].map(whole)).toEqual([
    '1',
    '-100',
    '9007199254740993',
    '0',
    '1.50',
  ]);
});
