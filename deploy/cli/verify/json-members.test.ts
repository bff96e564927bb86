import fc from 'fast-check';
import { expect, test } from 'vitest';
import { elementsOf, membersOf } from './json-members.ts';

test('each value is the text that it was, digit for digit', () => {
  const json = '{"id":9007199254740993,"n":1.10,"j":{"a": [1, "}"] },"s":"\\"\\\\","x":null}';
  expect([...membersOf(json)]).toEqual([
    ['id', '9007199254740993'],
    ['n', '1.10'],
    ['j', '{"a": [1, "}"] }'],
    ['s', '"\\"\\\\"'],
    ['x', 'null'],
  ]);
  expect(elementsOf('[ {"a":[1]} , "]" ,-0 ]')).toEqual(['{"a":[1]}', '"]"', '-0']);
  expect(elementsOf('[]')).toEqual([]);
  expect(membersOf(' {} ').size).toBe(0);
});

test('what is no whole object or array is refused', () => {
  for (const text of ['', '[]', '{', '{"a":1', '{"a":1} x', '{"a" 1}', '{a:1}', '{"a":}', '{"a":"x}']) {
    expect(() => membersOf(text)).toThrow(SyntaxError);
  }
  for (const text of ['', '{}', '[1', '["a]', '[1] 2', '[[1]'])
    expect(() => elementsOf(text)).toThrow(SyntaxError);
});

test('put together again, any object is the same', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
      const members = membersOf(JSON.stringify(value));
      const back = [...members].map(([name, text]) => `${JSON.stringify(name)}:${text}`);
      expect(`{${back.join(',')}}`).toBe(JSON.stringify(value));
    }),
  );
});
