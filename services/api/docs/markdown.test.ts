import { expect, test } from 'vitest';
import { anchorOf, renderInline, renderMarkdown } from './markdown.ts';

const toHref = (target: string) => (target.startsWith('docs:') ? `/docs/${target.slice(5)}` : target);

test('markup in a text is shown, not sent', () => {
  const { html } = renderMarkdown(
    '# A <script>alert(1)</script>\n\n<img src=x onerror=alert(1)>\n\n`<b>`',
    toHref,
  );
  expect(html.text).not.toMatch(/<(script|img|b)\b/);
  expect(html.text).toContain('&lt;script&gt;');
  expect(renderInline('[x](javascript:alert(1)) ![y](z)', toHref).text).toBe(
    '<a href="about:invalid">x</a> y',
  );
});

test('headings have anchors as on GitHub, and links lead to pages', () => {
  const { html, headings } = renderMarkdown(
    '## What a `feed.reset` says: it’s over\n\n[go](docs:problems)',
    toHref,
  );
  expect(headings).toEqual([
    { id: 'what-a-feedreset-says-its-over', text: 'What a feed.reset says: it’s over', depth: 2 },
  ]);
  expect(anchorOf('Apply an event')).toBe('apply-an-event');
  expect(html.text).toContain('<h2 id="what-a-feedreset-says-its-over">');
  expect(html.text).toContain('<a href="/docs/problems">go</a>');
});

test('the same in several languages is one block with tabs; other code is not', () => {
  const fence = (language: string) => `\`\`\`${language}\n1\n\`\`\`\n`;
  const blocks = (source: string) => renderMarkdown(source, toHref).html.text.match(/class="code[^"]*"/g);
  expect(blocks(`${fence('bash')}\n${fence('typescript')}\n${fence('python')}`)).toEqual([
    'class="code tabs"',
    'class="code-head"',
  ]);
  expect(blocks(`${fence('bash')}\n${fence('bash')}`)).toHaveLength(4);
  expect(blocks(`${fence('typescript')}\ntext\n\n${fence('python')}`)).toHaveLength(4);
  expect(blocks(fence('json'))).toHaveLength(2);
});
