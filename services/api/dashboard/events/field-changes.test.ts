import fc from 'fast-check';
import { expect, test } from 'vitest';
import { changesOf, splitDifference } from './field-changes.ts';
import { jsonHtml } from './json-html.ts';

test('two texts differ in what is left between their common beginning and end, and no character is cut', () => {
  expect(splitDifference('paid today', 'sent today')).toEqual({ start: 0, beforeEnd: 4, afterEnd: 4 });
  expect(splitDifference('aa', 'aaa')).toEqual({ start: 2, beforeEnd: 2, afterEnd: 3 });
  // These two share the first half of their surrogate pairs.
  expect(splitDifference('a😀b', 'a😁b')).toEqual({ start: 1, beforeEnd: 3, afterEnd: 3 });
  const text = fc.string({ unit: 'binary', maxLength: 12 });
  fc.assert(
    fc.property(text, text, text, text, (head, before, after, tail) => {
      const [one, other] = [head + before + tail, head + after + tail];
      const { start, beforeEnd, afterEnd } = splitDifference(one, other);
      expect(start).toBeLessThanOrEqual(Math.min(beforeEnd, afterEnd));
      expect(one.slice(0, start)).toBe(other.slice(0, start));
      expect(one.slice(beforeEnd)).toBe(other.slice(afterEnd));
      for (const part of [one.slice(0, start), one.slice(start, beforeEnd), other.slice(start, afterEnd)]) {
        expect(part.isWellFormed()).toBe(true);
      }
    }),
  );
});

test('changed fields are in the order of the record, then those that the event does not have', () => {
  const data = { c: 1, b: 2, a: 3 };
  expect(changesOf(data, { lost: 0, a: 4, c: 5 }).map(({ name, after }) => [name, after])).toEqual([
    ['c', 1],
    ['a', 3],
    ['lost', undefined],
  ]);
});

test('a payload is marked up without a change of its text, and cut when it is large', () => {
  const value = { 'a "b"': ['<i>', -1.5e3, true, null, { c: '\\"' }] };
  const { code, isCut } = jsonHtml(value);
  const text = code.text.replace(/<\/?(?:i|code)\b[^>]*>/g, '');
  const plain = text.replace(
    /&lt;|&gt;|&quot;|&amp;|&#39;/g,
    (each) => ({ '&lt;': '<', '&gt;': '>', '&quot;': '"', '&amp;': '&' })[each] ?? "'",
  );
  expect([plain, isCut]).toEqual([JSON.stringify(value, null, 2), false]);
  expect(code.text).toContain('<i class="c-name">&quot;a \\&quot;b\\&quot;&quot;</i>:');
  const large = jsonHtml({ a: 'x'.repeat(100_000) });
  expect([large.isCut, large.code.text.length < 21_000]).toEqual([true, true]);
});
