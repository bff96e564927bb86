import { Marked, type Token, type Tokens } from 'marked';
import { escapeHtml, type Html, html, trusted } from '../pages/html.ts';
import { codeBlock, codeTabs, type Tab } from './highlight.ts';

export interface Heading {
  readonly id: string;
  readonly text: string;
  readonly depth: number;
}

export interface Rendered {
  readonly html: Html;
  readonly headings: readonly Heading[];
}

/** What a link's target becomes, such as a file of the guides the path of its page. */
export type ToHref = (target: string) => string;

/** Fences of these languages that follow each other are one block with tabs. */
const TAB_LANGUAGES: Readonly<Record<string, { id: string; label: string }>> = {
  bash: { id: 'curl', label: 'curl' },
  typescript: { id: 'typescript', label: 'TypeScript' },
  python: { id: 'python', label: 'Python' },
  java: { id: 'java', label: 'Java' },
};

/** The anchor of a heading, as on GitHub: its text in lower case, with hyphens for spaces, without other signs. */
export function anchorOf(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}_ -]/gu, '')
    .replaceAll(' ', '-');
}

/**
 * Markdown as a page's text. Markup within it is shown, not sent: a description may hold names that the
 * operator chose in the catalog.
 */
export function renderMarkdown(source: string, toHref: ToHref): Rendered {
  const marked = markedFor(toHref);
  const headings: Heading[] = [];
  let tabs: Tab[] = [];
  let groups = 0;
  const parts: Html[] = [];
  const endTabs = () => {
    const [first] = tabs;
    groups += 1;
    if (first !== undefined && tabs.length > 1) {
      parts.push(codeTabs(tabs, { group: `code-${groups}`, label: 'Example' }));
    } else if (first !== undefined) parts.push(codeBlock(first.code, first.language));
    tabs = [];
  };
  for (const token of marked.lexer(source)) {
    if (token.type === 'space') continue;
    const code = token.type === 'code' ? (token as Tokens.Code) : undefined;
    const tab = TAB_LANGUAGES[code?.lang ?? ''];
    if (tab === undefined || tabs.some(({ id }) => id === tab.id)) endTabs();
    if (code !== undefined && tab !== undefined) {
      tabs.push({ ...tab, language: code.lang ?? '', code: code.text });
      continue;
    }
    if (token.type === 'heading') headings.push(headingOf(token as Tokens.Heading));
    parts.push(trusted(marked.parser([token])));
  }
  endTabs();
  return { html: html`${parts}`, headings };
}

/** A line of markdown: code, emphasis and links. */
export function renderInline(source: string, toHref: ToHref): Html {
  return trusted(markedFor(toHref).parseInline(source, { async: false }));
}

function headingOf({ text, depth }: Tokens.Heading): Heading {
  const plain = text.replace(/[`*]|\b_|_\b|\]\([^)]*\)|\[/g, '');
  return { id: anchorOf(plain), text: plain, depth };
}

const PARSERS = new WeakMap<ToHref, Marked>();

function markedFor(toHref: ToHref): Marked {
  const known = PARSERS.get(toHref);
  if (known !== undefined) return known;
  const made = new Marked({
    renderer: {
      html: ({ text }: Tokens.HTML | Tokens.Tag) => escapeHtml(text),
      image: ({ text }: Tokens.Image) => escapeHtml(text),
      codespan: ({ text }: Tokens.Codespan) => html`<code>${breakable(text)}</code>`.text,
      code: ({ text, lang = '' }: Tokens.Code) => codeBlock(text, lang).text,
      heading(token) {
        const { id, depth } = headingOf(token);
        const tag = `h${Math.min(depth, 6)}`;
        return `<${tag} id="${escapeHtml(id)}">${this.parser.parseInline(token.tokens)}${anchorLink(id).text}</${tag}>\n`;
      },
      link({ href, tokens }) {
        return html`<a href="${toHref(href)}">${trusted(this.parser.parseInline(tokens))}</a>`.text;
      },
      blockquote({ tokens }) {
        return `<div class="note">${this.parser.parse(tokens as Token[])}</div>\n`;
      },
      table(token) {
        const head = token.header.map(
          (cell) => `<th scope="col">${this.parser.parseInline(cell.tokens)}</th>`,
        );
        const rows = token.rows.map(
          (row) =>
            `<tr>${row.map((cell) => `<td>${this.parser.parseInline(cell.tokens)}</td>`).join('')}</tr>`,
        );
        return table(trusted(head.join('')), trusted(rows.join('\n'))).text;
      },
    },
  });
  PARSERS.set(toHref, made);
  return made;
}

/** A table that scrolls by itself where it is too wide, also by the keyboard. */
export function table(headCells: Html, rows: Html | readonly Html[]): Html {
  return html`<div class="table" tabindex="0" role="group" aria-label="Table"><table>
<thead><tr>${headCells}</tr></thead><tbody>${rows}</tbody></table></div>`;
}

/** A name that may be broken behind each underscore, so that a column of names leaves room beside it. */
export function breakable(name: string): Html {
  return html`${name.split(/(?<=_)(?=\w)/).map((part, index) => [index === 0 ? null : BREAK, part])}`;
}

const BREAK = trusted('<wbr>');

export function anchorLink(id: string): Html {
  return html`<a class="anchor" href="#${id}" aria-label="Link to this section">#</a>`;
}
