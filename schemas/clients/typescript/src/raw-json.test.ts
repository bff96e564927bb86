import fc from 'fast-check';
import { expect, test } from 'vitest';
import { elementsOf, membersOf, objectOf } from './raw-json.ts';

test('values stay the texts that they are', () => {
  const text =
    '{ "id": 9007199254740993, "price" : 10.00,\n"a\\"b":"x\\\\", "n":null,"j":{"k":[1, "}"]},"e":[] }';
  expect([...membersOf(text)]).toEqual([
    ['id', '9007199254740993'],
    ['price', '10.00'],
    ['a"b', '"x\\\\"'],
    ['n', 'null'],
    ['j', '{"k":[1, "}"]}'],
    ['e', '[]'],
  ]);
  expect(elementsOf('[1.50, {"a":[]} ,"]"]')).toEqual(['1.50', '{"a":[]}', '"]"']);
  expect(elementsOf(' [ ] ')).toEqual([]);
  expect([...membersOf('{}')]).toEqual([]);
});

test('whatever is printed is taken apart and put together again', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (object) => {
      const text = JSON.stringify(object);
      expect(objectOf(membersOf(text))).toBe(text);
    }),
  );
  fc.assert(
    fc.property(fc.array(fc.jsonValue()), (array) => {
      expect(`[${elementsOf(JSON.stringify(array)).join(',')}]`).toBe(JSON.stringify(array));
    }),
  );
});

const NO_OBJECTS = [
  '',
  '[1]',
  '[]',
  '{',
  '{"a"}',
  '{"a":}',
  '{"a":1',
  '{"a":"x',
  '{"a":"x}',
  '{a:1}',
  '{"a" 1}',
];
test.each([...NO_OBJECTS, '{"a":1 "b":2}', '{"a":[1}', '{"a":1,}', '{,}', '{"a":1} x', '{"a":1}{"a":2}'])(
  '%s is no object',
  (text) => {
    expect(() => membersOf(text)).toThrow(SyntaxError);
  },
);

test.each(['', '{}', '[1', '["a]', '[1] 2', '[[1]', '[1,]', '[,]', '[1 2]'])('%s is no array', (text) => {
  expect(() => elementsOf(text)).toThrow(SyntaxError);
});
