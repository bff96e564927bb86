import { expect, test } from 'vitest';
import { jsonHtml } from './json-html.ts';

test('names, texts, numbers and words are marked, and markup in them is none', () => {
  const { code, isCut } = jsonHtml({ '<b>': 'a "b"', list: [-1.5e3, true, null] });
  expect(isCut).toBe(false);
  expect(code.text).toContain('<i class="c-name">&quot;&lt;b&gt;&quot;</i>:');
  expect(code.text).toContain('<i class="c-text">&quot;a \\&quot;b\\&quot;&quot;</i>');
  for (const value of ['-1500', 'true', 'null']) {
    expect(code.text).toContain(`<i class="c-value">${value}</i>`);
  }
});

test('a text that is cut is marked to the end, at the cost of any other', () => {
  // Each would take half a second where every quote in it is tried as a beginning.
  for (let count = 0; count < 100; count += 1) {
    const { code, isCut } = jsonHtml({ note: '"'.repeat(30_000) });
    expect(isCut).toBe(true);
    expect(code.text).toMatch(/…<\/i><\/code>$/);
  }
});
