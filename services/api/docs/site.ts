import { readFile } from 'node:fs/promises';
import type { PublicUrls } from '../http/public-urls.ts';
import type { Assets } from '../pages/assets.ts';
import { html } from '../pages/html.ts';
import { type StaticPage, staticPage } from '../pages/page-response.ts';
import type { ApiDocument } from './document.ts';
import { renderMarkdown, type ToHref } from './markdown.ts';
import { overviewPage } from './overview-page.ts';
import { docsPage, docsPath, type MenuSection, type PageText, type Site } from './page.ts';
import { PROBLEM_CODES, problemPage, problemsPage } from './problem-html.ts';
import { eventsPage, schemasPage, taskEntry, taskPage, tasksOf } from './reference-pages.ts';
import { readAsyncApi, topicsPage } from './topics-page.ts';

/** The guides, in the order of the menu, each a file of `guides/`. */
const START = {
  quickstart: 'Quickstart',
  authentication: 'Keys and scopes',
  conventions: 'Requests and errors',
};
const GUIDES = {
  exports: 'Choose an export',
  replica: 'Keep a replica',
  verify: 'Check a replica',
  warehouse: 'Sync a warehouse',
  receivers: 'Harden a receiver',
  failures: 'When a delivery fails',
  signatures: 'Verify signatures',
  bulk: 'Change many records',
  limits: 'Limits and quotas',
};

const COMMANDS = { commands: 'Commands' };

const CLIENTS_FOLDER = new URL('../../../schemas/clients/', import.meta.url);

/** The READMEs of the clients, so that pages and packages show the same text. */
const CLIENTS = { typescript: 'TypeScript client', python: 'Python client' };

/** The documentation as pages, each made once. */
export interface DocsSite {
  /** The names of all pages, under `/docs`. */
  readonly names: readonly string[];
  /** @returns undefined for a page that is not there */
  page(name: string): Promise<StaticPage | undefined>;
  /** The page for a wrong link. */
  missingPage(): StaticPage;
}

export interface DocsSiteDeps {
  readonly document: ApiDocument;
  readonly version: string;
  readonly urls: Pick<PublicUrls, 'path'>;
  readonly assets: Pick<Assets, 'path'>;
}

export function createDocsSite({ document, version, urls, assets }: DocsSiteDeps): DocsSite {
  const toHref = createToHref(urls);
  const reference = { document, toHref };
  const tasks = tasksOf(reference);
  const entriesOf = (guides: Readonly<Record<string, string>>) =>
    Object.entries(guides).map(([name, title]) => ({ name, title }));
  const clientPages = Object.entries(CLIENTS).map(([client, title]) => ({
    name: `clients/${client}`,
    client,
    title,
  }));
  const sections: MenuSection[] = [
    { title: 'Start', entries: [{ name: '', title: 'Overview' }, ...entriesOf(START)] },
    { title: 'Guides', entries: entriesOf(GUIDES) },
    {
      title: 'Clients',
      entries: [...clientPages.map(({ name, title }) => ({ name, title })), ...entriesOf(COMMANDS)],
    },
    { title: 'API', entries: [...tasks.map(taskEntry), { name: 'schemas', title: 'Schemas' }] },
    {
      title: 'Reference',
      entries: [
        { name: 'events', title: 'Event types' },
        { name: 'problems', title: 'Problem codes' },
        { name: 'topics', title: 'Kafka topics' },
      ],
    },
  ];
  const site: Site = { version, sections, href: urls.path, asset: assets.path };

  const guidePage = async (name: string, title: string): Promise<PageText> => {
    const { html: body, headings } = await readGuide(name, toHref);
    return { name, title, description: title, body, headings };
  };
  const makers = new Map<string, () => Promise<PageText>>([
    ['', async () => overviewPage(toHref)],
    ...Object.entries({ ...START, ...GUIDES, ...COMMANDS }).map(
      ([name, title]): [string, () => Promise<PageText>] => [name, () => guidePage(name, title)],
    ),
    ...clientPages.map(({ name, client, title }): [string, () => Promise<PageText>] => [
      name,
      async () => {
        const source = await readFile(new URL(`${client}/README.md`, CLIENTS_FOLDER), 'utf8');
        const { html: body, headings } = renderMarkdown(source, toHref);
        return { name, title, description: title, body, headings };
      },
    ]),
    ...tasks.map((task): [string, () => Promise<PageText>] => [
      `api/${task.name}`,
      async () => taskPage(reference, task),
    ]),
    ['schemas', async () => schemasPage(reference)],
    ['events', async () => eventsPage(reference, await readGuide('events', toHref))],
    ['topics', async () => topicsPage(await readAsyncApi(), await readGuide('topics', toHref), toHref)],
    ['problems', async () => problemsPage(reference)],
    ...PROBLEM_CODES.map((code): [string, () => Promise<PageText>] => [
      `problems/${code}`,
      async () => problemPage(reference, code),
    ]),
  ]);
  const pages = new Map<string, StaticPage>();
  return {
    names: [...makers.keys()],
    async page(name) {
      const known = pages.get(name);
      if (known !== undefined) return known;
      const make = makers.get(name);
      if (make === undefined) return undefined;
      const made = staticPage(docsPage(site, await make()));
      pages.set(name, made);
      return made;
    },
    missingPage: () =>
      staticPage(
        docsPage(site, {
          name: 'missing',
          title: 'Page not found',
          description: 'There is no such page.',
          headings: [],
          body: html`<h1>Page not found</h1>
<p class="lead">There is no such page. The menu has all of them.</p>
<p><a class="button" href="${urls.path('/docs')}">To the first page</a></p>`,
        }),
      ),
  };
}

async function readGuide(name: string, toHref: ToHref) {
  const source = await readFile(new URL(`./guides/${name}.md`, import.meta.url), 'utf8');
  return renderMarkdown(source, toHref);
}

/**
 * Links of texts: `replica.md#apply-an-event` is a guide, as on GitHub; `docs:api/exports#createExport` a page
 * that is made from a document; `api:/openapi.json` a path of this API. Any other target stays as it is.
 */
function createToHref(urls: Pick<PublicUrls, 'path'>): ToHref {
  return (target) => {
    const guide = /^([a-z-]+)\.md(#.*)?$/.exec(target);
    if (guide !== null) return urls.path(docsPath(guide[1] ?? '')) + (guide[2] ?? '');
    if (target.startsWith('docs:')) return urls.path(docsPath(target.slice('docs:'.length)));
    if (target.startsWith('api:')) return urls.path(target.slice('api:'.length));
    return target;
  };
}
