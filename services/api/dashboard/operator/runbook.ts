import { readFileSync } from 'node:fs';
import { type Rendered, renderInline, renderMarkdown, type ToHref } from '../../docs/markdown.ts';
import { type Html, html } from '../../pages/html.ts';
import type { Hrefs, View } from '../frame/layout.ts';

/** The runbook's text about a code, in English like the whole runbook. */
export interface RunbookEntry {
  readonly meaning: Html;
  readonly action: Html;
}

/** Texts of `deploy/`, by the name under which the dashboard has them. */
const FILES = { runbook: 'README.md', configuration: 'configuration.md' } as const;

export type RunbookFile = keyof typeof FILES;

const RUNBOOK_PATH = '/dashboard/operator/runbook';

const PATHS: Readonly<Record<RunbookFile, string>> = {
  runbook: RUNBOOK_PATH,
  configuration: `${RUNBOOK_PATH}/configuration`,
};

/** Read once, because the texts belong to the release. Pictures are left out. Links to other files of the repository become plain text. */
const TEXTS = new Map<RunbookFile, string>();

const PICTURE = /^!\[[^\]]*\]\([^)]+\)\n\n?/gm;
const ELSEWHERE = /\[([^\]]+)\]\((?!#|https?:|(?:README|configuration)\.md\b)[^)]+\)/g;

function textOf(file: RunbookFile): string {
  const known = TEXTS.get(file);
  if (known !== undefined) return known;
  const source = readFileSync(new URL(`../../../../deploy/${FILES[file]}`, import.meta.url), 'utf8');
  const text = source.replaceAll(PICTURE, '').replaceAll(ELSEWHERE, '$1');
  TEXTS.set(file, text);
  return text;
}

/** The rendered texts, with the addresses of one installation. */
class Runbook {
  readonly #href: Hrefs['href'];
  readonly #pages = new Map<RunbookFile, Rendered>();
  readonly #entries = new Map<string, RunbookEntry | undefined>();

  constructor(href: Hrefs['href']) {
    this.#href = href;
  }

  page(file: RunbookFile): Rendered {
    const page = this.#pages.get(file) ?? renderMarkdown(textOf(file), this.#toHref(file));
    this.#pages.set(file, page);
    return page;
  }

  entry(code: string): RunbookEntry | undefined {
    if (!this.#entries.has(code)) this.#entries.set(code, this.#readEntry(code));
    return this.#entries.get(code);
  }

  #readEntry(code: string): RunbookEntry | undefined {
    const row = textOf('runbook')
      .split('\n')
      .find((line) => line.startsWith(`| \`${code}\` |`));
    const [, , meaning, action] = row?.split('|') ?? [];
    if (meaning === undefined || action === undefined) return undefined;
    const toHref = this.#toHref('runbook');
    return { meaning: renderInline(meaning.trim(), toHref), action: renderInline(action.trim(), toHref) };
  }

  /** Links lead to the runbook's own sections, and to the settings. */
  #toHref(file: RunbookFile): ToHref {
    return (target) => {
      if (target.startsWith('#')) return this.#href(PATHS[file]) + target;
      const [name, anchor] = target.split('#', 2);
      const other = (Object.keys(FILES) as RunbookFile[]).find((each) => FILES[each] === name);
      if (other === undefined) return target;
      return this.#href(PATHS[other]) + (anchor === undefined ? '' : `#${anchor}`);
    };
  }
}

const RUNBOOKS = new WeakMap<Hrefs['href'], Runbook>();

function runbookAt({ href }: Pick<Hrefs, 'href'>): Runbook {
  const runbook = RUNBOOKS.get(href) ?? new Runbook(href);
  RUNBOOKS.set(href, runbook);
  return runbook;
}

/** A text of the runbook as a page. */
export function runbookPage(file: RunbookFile, to: Pick<Hrefs, 'href'>): Rendered {
  return runbookAt(to).page(file);
}

/** The row of the runbook's tables that begins with one of its own codes. */
export function runbookEntry(code: string, to: Pick<Hrefs, 'href'>): RunbookEntry | undefined {
  return runbookAt(to).entry(code);
}

/** A link to the section of the runbook that helps. */
export function runbookLink(anchor: keyof typeof ANCHORS, { href, text }: View): Html {
  return html`<a class="runbook" href="${href(RUNBOOK_PATH)}#${ANCHORS[anchor]}">${text.operator.runbook.link}</a>`;
}

/** The sections that pages link to. */
export const ANCHORS = {
  slow: 'work-is-slow',
  processes: 'a-process-does-not-start-or-ends',
  warnings: 'readyz-warnings-and-metrics',
  aside: 'a-resource-is-set-aside',
  disk: 'a-full-disk-on-the-source',
  kafka: 'kafka-lost-records',
  endpoints: 'webhook-endpoints',
  exports: 'export-error-codes',
  bulk: 'bulk-job-error-codes',
  logs: 'warnings-in-the-logs',
} as const;
