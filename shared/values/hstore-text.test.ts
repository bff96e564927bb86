import { expect, test } from 'vitest';
import { hstoreToJson } from './hstore-text.ts';
import { UnreadableTextError } from './unreadable-text-error.ts';

test('pairs become members in their order, with nulls and escapes', () => {
  expect(hstoreToJson('"a"=>"1", "b"=>NULL, "c\\"d"=>"NULL", ""=>"\\\\, \\"x\\"=>"')).toBe(
    '{"a":"1","b":null,"c\\"d":"NULL","":"\\\\, \\"x\\"=>"}',
  );
});

test('an empty hstore is an empty object', () => {
  expect(hstoreToJson('')).toBe('{}');
});

test.each(['a=>1', '"a"', '"a"=>', '"a"=>null', '"a"=>"1",', '"a"=>"1", ', '"a"=>"1"x'])(
  '%j is refused',
  (text) => {
    expect(() => hstoreToJson(text)).toThrow(UnreadableTextError);
  },
);
