import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseRecordText } from './record-text.ts';
import { UnreadableTextError } from './unreadable-text-error.ts';

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
