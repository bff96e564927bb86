import { expect, test } from 'vitest';
import { readJsonMembers } from './json-members.ts';

const read = (text: string) => Object.fromEntries(readJsonMembers(text));

test('values keep their text, whatever is in them', () => {
  expect(read('{"id":9007199254740993,"doc":{"a": [1.10, "}"],"b":{}},"t":"x,\\"}\\\\","n":null}')).toEqual({
    id: '9007199254740993',
    doc: '{"a": [1.10, "}"],"b":{}}',
    t: '"x,\\"}\\\\"',
    n: 'null',
  });
});

test('names are read as JSON strings', () => {
  expect(read('{"a\\"b":1,"ü":[]}')).toEqual({ 'a"b': '1', ü: '[]' });
  expect(read('{}')).toEqual({});
});

test('what is no object is refused', () => {
  for (const text of ['', '[]', '{"a":1', '{"a":1}x', '{"a"}', '{"a":}', '{a:1}', '{"a":1,}', '{"a":"x}']) {
    expect(() => readJsonMembers(text), text).toThrow();
  }
});
