import { expect, test } from 'vitest';
import { orderingKey } from './ordering-key.ts';

const keyOf = (...parts: string[]) => orderingKey(`people/${JSON.stringify(parts)}`);

test.each([
  ['Ann', 'ANN', 'citext'],
  ['straße', 'STRASSE', 'a collation without case'],
  ['İstanbul', 'istanbul', 'a collation without accents'],
  ['rené-luc', 'Rene Luc', 'a collation without punctuation'],
  ['Ærø', 'aero', 'a collation of base letters'],
  ['かな', 'カナ', 'a collation of base letters'],
  ['55', '55.000000000', 'numeric'],
  ['-0', '0', 'float8'],
  ['60 days 00:01:00', '2 mons 00:01:00', 'interval'],
  ['1 year -1 days', '11 mons 29 days', 'interval'],
  ['[1,2)', '[1.0,2.00)', 'numrange'],
  ['{"a": 1.0}', '{"a": 1}', 'jsonb'],
  ['{Ann,1.50}', '{ANN,1.5}', 'an array'],
  ['a', 'a ', 'char(n)'],
  ['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', 'citext'],
])('%s and %s are in one queue (%s)', (a, b) => {
  expect(keyOf(a)).toBe(keyOf(b));
  expect(keyOf('7', a)).toBe(keyOf('7', b));
});

test('records are apart wherever PostgreSQL takes their keys as different', () => {
  const keys = ['1', '10', '100', 'Ann', 'Anna', '1.5', '1.05', '60 days', '61 days', '', '{1,2}'];
  expect(new Set(keys.map((key) => keyOf(key))).size).toBe(keys.length);
  expect(keyOf('1', '23')).not.toBe(keyOf('12', '3'));
  expect(orderingKey('people/["1"]')).not.toBe(orderingKey('teams/["1"]'));
});

test('what is no record has its own queue', () => {
  expect(orderingKey('exports/exp_1')).not.toBe(orderingKey('exports/exp_2'));
});
