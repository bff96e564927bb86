import fc from 'fast-check';
import { expect, test } from 'vitest';
import { arrayToJson, hstoreToJson, parseRecordText } from './nested-text.ts';
import { UnreadableTextError } from './unreadable-text-error.ts';

const ofTexts = (pgText: string) => arrayToJson(pgText, ',', (text) => JSON.stringify(text));
const ofNumbers = (pgText: string) => arrayToJson(pgText, ',', (text) => text);

test('dimensions nest', () => {
  expect(ofNumbers('{{1,2},{3,NULL}}')).toBe('[[1,2],[3,null]]');
  expect(ofNumbers('{}')).toBe('[]');
});

test('the null and the text NULL are told apart', () => {
  expect(ofTexts('{NULL,"NULL",null,""}')).toBe('[null,"NULL","null",""]');
});

test('quotes and backslashes inside elements are undone', () => {
  expect(ofTexts('{"a\\"b","c\\\\d","{x,y}",e f}')).toBe('["a\\"b","c\\\\d","{x,y}","e f"]');
});

test('boxes are separated by semicolons', () => {
  expect(arrayToJson('{(1,1),(0,0);(2,2),(0,0)}', ';', (text) => JSON.stringify(text))).toBe(
    '["(1,1),(0,0)","(2,2),(0,0)"]',
  );
});

test('an array with bounds of its own keeps them, as a string', () => {
  expect(ofNumbers('[0:2]={1,2,3}')).toBe('"[0:2]={1,2,3}"');
});

test.each(['', '1', '{1', '{1,2', '{1}2', '{"a', '{"a"b}', '{{1}2}', '{1;2"'])('%j is refused', (text) => {
  expect(() => ofNumbers(text)).toThrow(UnreadableTextError);
});

type Nested = (string | null | Nested)[];

/** Prints an array as PostgreSQL does, here quoting every element. */
function print(array: Nested): string {
  const items = array.map((item) => {
    if (item === null) return 'NULL';
    return typeof item === 'string' ? `"${item.replace(/["\\]/g, '\\$&')}"` : print(item);
  });
  return `{${items.join(',')}}`;
}

test('any nested array of texts comes through whole', () => {
  const { nested } = fc.letrec<{ nested: Nested; item: string | null | Nested }>((tie) => ({
    nested: fc.array(tie('item'), { maxLength: 5 }),
    item: fc.oneof({ maxDepth: 5 }, fc.string({ unit: 'grapheme' }), fc.constant(null), tie('nested')),
  }));
  fc.assert(
    fc.property(nested, (array) => {
      expect(JSON.parse(ofTexts(print(array)))).toEqual(array);
    }),
  );
});

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

test('nothing is a null and two quotes are an empty text', () => {
  expect(parseRecordText('(,"",x)', 3)).toEqual([null, '', 'x']);
  expect(parseRecordText('()', 1)).toEqual([null]);
  expect(parseRecordText('()', 0)).toEqual([]);
  expect(parseRecordText('(,)', 2)).toEqual([null, null]);
});

test('doubled quotes and backslashes are one', () => {
  expect(parseRecordText('(1,"x,""y","a\\\\b")', 3)).toEqual(['1', 'x,"y', 'a\\b']);
});

test.each(['', '(', '(1', '(1,2', '(1,2)', '(1)x', '("a)', '("a"b)', '("\\x")'])(
  '%j is no single attribute',
  (text) => {
    expect(() => parseRecordText(text, 1)).toThrow(UnreadableTextError);
  },
);

test('attributes that were added to the type after the value was printed are null', () => {
  expect(parseRecordText('(1)', 3)).toEqual(['1', null, null]);
  expect(parseRecordText('(1,"a")', 3)).toEqual(['1', 'a', null]);
});

test('any attributes come through whole', () => {
  const attributes = fc.array(fc.option(fc.string({ unit: 'grapheme' })), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(attributes, (texts) => {
      const printed = texts.map((text) => (text === null ? '' : `"${text.replace(/["\\]/g, '$&$&')}"`));
      expect(parseRecordText(`(${printed.join(',')})`, texts.length)).toEqual(texts);
    }),
  );
});
