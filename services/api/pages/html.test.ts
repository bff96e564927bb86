import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Content, flag, html, trusted } from './html.ts';

/** A template that `html` is called with as if it were written in the source. */
const template = (...parts: string[]) => Object.assign([...parts], { raw: parts }) as TemplateStringsArray;

test('texts are escaped between tags and in attributes, and markup of the tag itself is kept', () => {
  const text = `<b onclick='x'>"&`;
  const shown = '&lt;b onclick=&#39;x&#39;&gt;&quot;&amp;';
  expect(html`<p title="${text}">${text}</p>`.text).toBe(`<p title="${shown}">${shown}</p>`);
  expect(html`<ul>${[html`<li>${1}</li>`, html`<li>${'<'}</li>`]}</ul>`.text).toBe(
    '<ul><li>1</li><li>&lt;</li></ul>',
  );
  expect(html`<p>${null}${undefined}${false}${trusted('<br>')}</p>`.text).toBe('<p><br></p>');
});

test('no text breaks out of its place', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'<>"\'&=:;/ \n`ab#x'), maxLength: 40 }), (text) => {
      const { text: markup } = html`<a title="${text}" href="/x?${text}">${text}</a>`;
      expect(markup.match(/[<>]/g)).toHaveLength(4);
      expect(markup.match(/"/g)).toHaveLength(4);
    }),
  );
});

test.each([
  'javascript:alert(1)',
  ' JavaScript:alert(1)',
  'java\nscript:alert(1)',
  '\u0001javascript:alert(1)',
  'data:text/html,x',
  'vbscript:x',
])('a URL that could run code is not followed: %j', (url) => {
  expect(html`<a href="${url}">x</a>`.text).toBe('<a href="about:invalid">x</a>');
});

test.each(['https://example.com/a:b', '/docs', '#id', '?a=b:c', '../x:y', 'mailto:a@example.com', ''])(
  'a URL that runs nothing is kept: %j',
  (url) => {
    expect(html`<a href="${url}">x</a>`.text).toBe(`<a href="${url}">x</a>`);
  },
);

test.each([
  ['an unquoted attribute', template('<a title=', '>')],
  ['a single-quoted attribute', template("<a title='", "'>")],
  ['the name of an attribute', template('<a ', '>')],
  ['the name of a tag', template('<', '>')],
  ['the name of an end tag', template('</', '>')],
  ['a script', template('<script>', '</script>')],
  ['a style', template('<style>a{', '}</style>')],
])('a value is refused in %s', (_place, strings) => {
  expect(() => html(strings, 'x')).toThrow(RangeError);
});

test('an attribute takes no markup', () => {
  expect(() => html`<a title="${html`<b>` as Content}">`).toThrow(RangeError);
});

test('a flag stands in a tag', () => {
  const input = (isOn: boolean) =>
    html`<input name="${'a'}"${flag('checked', isOn)}${flag('disabled', isOn)}>`;
  expect(input(true).text).toBe('<input name="a" checked disabled>');
  expect(input(false).text).toBe('<input name="a">');
});
