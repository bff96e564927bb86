import { createHash } from 'node:crypto';
import { type Content, type Html, html } from '../../pages/html.ts';

/** A progress bar, from 0 to 1. */
export interface Bar {
  readonly value: number;
  /** The accessible name. */
  readonly label: string;
}

/** A column of a chart. Its height changes, its position does not. */
export interface Column {
  readonly x: number;
  readonly width: number;
  readonly y: number;
  readonly height: number;
  /** Selects its colour in the stylesheet. */
  readonly series: string;
}

/**
 * The parts of a page that change while it is open. A page renders these into its markup; a module requests them again
 * and updates their texts. Any other change, such as new files, changes the page's structure, and the module reloads
 * the page.
 */
export interface Live {
  text(name: string, value: string): Html;
  time(name: string, at: string, relative: string, utc: string): Html;
  bar(name: string, bar: Bar): Html;
  column(name: string, column: Column): Html;
  /** A link whose target changes when there is something newer. `href`: with the public prefix. */
  link(name: string, href: string, text: string): Html;
}

/** What the module receives. */
export interface LiveState {
  readonly shape: string;
  readonly texts: Readonly<Record<string, string>>;
  readonly bars: Readonly<Record<string, number>>;
  /** By name: the distance from the top, and the height. */
  readonly columns: Readonly<Record<string, readonly [y: number, height: number]>>;
  /** By name: the target and the text. */
  readonly links: Readonly<Record<string, readonly [href: string, text: string]>>;
}

/** Hidden fields hold values of one visitor or one rendering, such as the session's token or a request's key. */
const HIDDEN_FIELD = /<input\b[^>]*\btype="hidden"[^>]*>/g;

/** Renders a page's content, and collects its live parts. */
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
