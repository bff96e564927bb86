import { type Content, flag, type Html, html, trusted } from '../pages/html.ts';
import type { Heading } from './markdown.ts';

/** What every page of the documentation needs to know of the others. */
export interface Site {
  readonly version: string;
  /** The menu: sections of pages by task. */
  readonly sections: readonly MenuSection[];
  /** A path of this API, with the public prefix in front. */
  href(path: string): string;
  /** The path of a style, module or picture. */
  asset(name: string): string;
}

export interface MenuSection {
  readonly title: string;
  readonly entries: readonly MenuEntry[];
}

export interface MenuEntry {
  /** Under `/docs`: `''` for the first page, `api/exports`. */
  readonly name: string;
  readonly title: string;
  /** Parts of the page, shown in the menu while it is open. */
  readonly parts?: readonly { readonly id: string; readonly title: string }[];
}

export interface PageText {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly body: Html;
  /** Of a page of text: shown beside it. A page without them has the whole width. */
  readonly headings?: readonly Heading[];
}

/** The path of a page of the documentation, without the public prefix. */
export function docsPath(name: string): string {
  return name === '' ? '/docs' : `/docs/${name}`;
}

/** A whole page: header, menu, text, and the way to the pages before and after. */
export function docsPage(site: Site, page: PageText): Html {
  const asset = (name: string) => site.href(site.asset(name));
  return html`<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${page.name === '' ? 'Tandem documentation' : `${page.title} · Tandem`}</title>
<meta name="description" content="${page.description}">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="${asset('icon.svg')}" type="image/svg+xml">
<link rel="stylesheet" href="${asset('base.css')}">
<link rel="stylesheet" href="${asset('docs.css')}">
<script src="${asset('theme.js')}"></script>
<script type="module" src="${asset('docs.js')}"></script>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
${header(site)}
<div class="frame">
${menu(site, page.name)}
<main id="content" tabindex="-1">
${page.headings === undefined ? page.body : withContents(page.body, page.headings)}
${pager(site, page.name)}
</main>
</div>
</body>
</html>
`;
}

const HALF_MOON = trusted(
  '<svg width="18" height="18" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" aria-hidden="true"><circle cx="12" cy="12" r="9"/><path d="M12 3a9 9 0 0 1 0 18z" fill="currentColor"/></svg>',
);
const THREE_LINES = trusted(
  '<svg width="20" height="20" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" aria-hidden="true"><path d="M4 7h16M4 12h16M4 17h16"/></svg>',
);

function header(site: Site): Html {
  return html`<header class="top">
<button type="button" class="icon-button menu-button" popovertarget="menu" aria-label="Menu">${THREE_LINES}</button>
<a class="brand" href="${site.href('/docs')}"><img src="${site.href(site.asset('icon.svg'))}" width="26" height="26" alt="">Tandem <span>docs</span></a>
<div class="top-links">
<a href="${site.href(docsPath('quickstart'))}">Quickstart</a>
<a href="${site.href('/openapi.json')}">OpenAPI</a>
<span class="badge">${site.version}</span>
<button type="button" class="icon-button scripted" data-theme-switch aria-pressed="false" aria-label="Dark theme">${HALF_MOON}</button>
</div>
</header>`;
}

function menu(site: Site, current: string): Html {
  return html`<nav class="menu" id="menu" popover aria-label="Documentation">
${site.sections.map(
  ({ title, entries }) => html`<h2>${title}</h2>
<ul>${entries.map((entry) => menuEntry(site, entry, current))}</ul>
`,
)}</nav>`;
}

function menuEntry(site: Site, { name, title, parts = [] }: MenuEntry, current: string): Html {
  const path = site.href(docsPath(name));
  const isHere = name === current;
  // A problem's page belongs to the list of them.
  const isAbove = name !== '' && current.startsWith(`${name}/`);
  const inner: Content =
    isHere && parts.length > 0
      ? html`<ul>${parts.map((part) => html`<li><a href="#${part.id}">${part.title}</a></li>`)}</ul>`
      : null;
  return html`<li><a href="${path}"${flag('aria-current="page"', isHere)}${flag('aria-current="true"', isAbove)}>${title}</a>${inner}</li>
`;
}

function withContents(body: Html, headings: readonly Heading[]): Html {
  const shown = headings.filter(({ depth }) => depth === 2);
  return html`<div class="text">
<article>${body}</article>
${
  shown.length < 2
    ? null
    : html`<nav class="toc" aria-label="On this page"><div><h2>On this page</h2>
<ul>${shown.map(({ id, text }) => html`<li><a href="#${id}">${text}</a></li>`)}</ul></div></nav>`
}</div>`;
}

function pager(site: Site, current: string): Html | null {
  const entries = site.sections.flatMap((section) => section.entries);
  const place = entries.findIndex(({ name }) => name === current);
  if (place === -1) return null;
  const [before, after] = [entries[place - 1], entries[place + 1]];
  const link = (entry: MenuEntry, rel: 'prev' | 'next') =>
    html`<a class="${rel}" rel="${rel}" href="${site.href(docsPath(entry.name))}"><small>${rel === 'prev' ? 'Previous' : 'Next'}</small>${entry.title}</a>`;
  return html`<nav class="pager" aria-label="Pages">${before && link(before, 'prev')}${after && link(after, 'next')}</nav>`;
}
