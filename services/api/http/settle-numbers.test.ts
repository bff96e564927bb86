import { expect, test } from 'vitest';
import { parseExactJson } from '../../../shared/domain/exact-json.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import { settleNumbers } from './settle-numbers.ts';

const settle = (text: string, exact: readonly string[] = []) => settleNumbers(parseExactJson(text), exact);

const pointersOf = (work: () => unknown) => {
  try {
    work();
    return undefined;
  } catch (error) {
    return error instanceof AppError ? error.errors.map(({ pointer }) => pointer) : error;
  }
};

test('a number that a double holds becomes one, in any spelling', () => {
  expect(settle('{"a":1.0,"b":[1e2,{"c":-0.50}]}')).toEqual({ a: 1, b: [100, { c: -0.5 }] });
  expect(settle('1.0')).toBe(1);
});

test('a number that would be changed is refused, with its pointer', () => {
  expect(pointersOf(() => settle('{"a":1,"b":[0,{"c/d":9007199254740993}]}'))).toEqual(['/b/1/c~1d']);
  expect(pointersOf(() => settle('1e400'))).toEqual(['']);
});

test('exact members keep every digit, within bounds', () => {
  const text = '{"params":{"a":[1.10,9007199254740993,1e400]}}';
  expect(JSON.stringify(settle(text, ['params']))).toBe(text);
  for (const number of ['1e1001', '1E-1001', `1${'0'.repeat(1_000)}`]) {
    expect(pointersOf(() => settle(`{"params":{"a":${number}}}`, ['params']))).toEqual(['/params/a']);
  }
});
