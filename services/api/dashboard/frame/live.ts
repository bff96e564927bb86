import { createHash } from 'node:crypto';
import { type Content, type Html, html } from '../../pages/html.ts';

/** A progress bar, from 0 to 1. */
export interface Bar {
  readonly value: number;
  /** What a screen reader names it by. */
  readonly label: string;
}

/** A column of a chart. Its height changes, its place does not. */
export interface Column {
  readonly x: number;
  readonly width: number;
  readonly y: number;
  readonly height: number;
  /** What the stylesheet colours it by. */
  readonly series: string;
}

/**
 * What changes on a page while somebody looks. A page puts these pieces into its markup; a module asks for them again and
 * patches their texts. Whatever else has changed, such as files that are there now, makes another shape, and the module
 * loads the page again.
 */
export interface Live {
  text(name: string, value: string): Html;
  time(name: string, at: string, relative: string, utc: string): Html;
  bar(name: string, bar: Bar): Html;
  column(name: string, column: Column): Html;
  /** A link that leads elsewhere once there is something newer. `href`: with the public prefix. */
  link(name: string, href: string, text: string): Html;
}

/** What the module gets. */
export interface LiveState {
  readonly shape: string;
  readonly texts: Readonly<Record<string, string>>;
  readonly bars: Readonly<Record<string, number>>;
  /** By name, the place from the top and the height. */
  readonly columns: Readonly<Record<string, readonly [y: number, height: number]>>;
  /** By name, where it leads and its text. */
  readonly links: Readonly<Record<string, readonly [href: string, text: string]>>;
}

/** What it holds is of one visitor, or of one rendering: a token of the session, the key of a request. */
const HIDDEN_FIELD = /<input\b[^>]*\btype="hidden"[^>]*>/g;

/** Renders a page's content, and lists what of it is live. */
export function renderLive(render: (live: Live) => Html): {
  readonly content: Html;
  readonly state: LiveState;
} {
  const texts: Record<string, string> = {};
  const bars: Record<string, number> = {};
  const columns: Record<string, readonly [number, number]> = {};
  const links: Record<string, readonly [string, string]> = {};
  const content = render({
    text(name, value) {
      texts[name] = value;
      return textHtml(name, value);
    },
    time(name, at, relative, utc) {
      texts[name] = relative;
      return html`<time data-text="${name}" datetime="${at}" title="${utc}">${relative}</time>`;
    },
    bar(name, bar) {
      bars[name] = bar.value;
      return barHtml(name, bar);
    },
    column(name, column) {
      columns[name] = [column.y, column.height];
      return columnHtml(name, column);
    },
    link(name, href, text) {
      links[name] = [href, text];
      return linkHtml(name, href, text);
    },
  });
  const still = render({
    text: (name) => textHtml(name, ''),
    time: (name, at, _relative, utc) =>
      html`<time data-text="${name}" datetime="${at}" title="${utc}"></time>`,
    bar: (name, { label }) => barHtml(name, { value: 0, label }),
    column: (name, column) => columnHtml(name, { ...column, y: 0, height: 0 }),
    link: (name) => linkHtml(name, '', ''),
  });
  const shape = createHash('sha256')
    .update(still.text.replaceAll(HIDDEN_FIELD, ''))
    .digest('base64url')
    .slice(0, 22);
  return { content, state: { shape, texts, bars, columns, links } };
}

function textHtml(name: string, value: Content): Html {
  return html`<span data-text="${name}">${value}</span>`;
}

function barHtml(name: string, { value, label }: Bar): Html {
  return html`<progress data-bar="${name}" max="1" value="${value}" aria-label="${label}"></progress>`;
}

function linkHtml(name: string, href: string, text: string): Html {
  return html`<a data-link="${name}" href="${href}">${text}</a>`;
}

function columnHtml(name: string, { x, y, width, height, series }: Column): Html {
  return html`<rect data-column="${name}" data-series="${series}" x="${x}" y="${y}" width="${width}" height="${height}"></rect>`;
}
