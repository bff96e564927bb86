import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ApiDocument, operationsOf, type PlacedOperation } from '../../services/api/docs/document.ts';
import { snippetsOf } from '../../services/api/docs/snippets.ts';
import { openTestApi, type TestApi } from '../support/api-server.ts';
import {
  DESKTOP,
  findAxeViolations,
  findContrastViolations,
  openBrowser,
  overflowOf,
  PHONE,
  type TestBrowser,
  takePictures,
  watchFaults,
} from '../support/browser.ts';
import { findPython, REQUESTS } from '../support/python.ts';

const browser: TestBrowser | undefined = await openBrowser();
const python = findPython(REQUESTS);

let api: TestApi;

/** The text of every page that links lead to from the first one, by path. */
let pages: ReadonlyMap<string, string>;

beforeAll(async () => {
  api = await openTestApi();
  pages = await crawl();
});

afterAll(async () => {
  await browser?.[Symbol.asyncDispose]();
  await api?.[Symbol.asyncDispose]();
});

async function crawl(): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const queue = ['/docs'];
  for (const path of queue) {
    const { status, text } = await api.call('GET', path);
    expect(`${status} ${path}`).toBe(`200 ${path}`);
    found.set(path, text);
    for (const link of linksOf(text)) {
      const { pathname } = new URL(link, api.url);
      if (pathname.startsWith('/docs') && !queue.includes(pathname)) queue.push(pathname);
    }
  }
  return found;
}

function linksOf(text: string): string[] {
  return [...text.matchAll(/(?:href|src)="([^"]+)"/g)].map(([, link = '']) => link.replaceAll('&amp;', '&'));
}

test('every page is there, with a policy that allows nothing inline, and is not sent twice', async () => {
  expect(pages.size).toBeGreaterThan(35);
  for (const path of pages.keys()) {
    const { headers } = await api.call('GET', path);
    expect(headers.get('content-type'), path).toBe('text/html; charset=utf-8');
    expect(headers.get('content-security-policy'), path).toMatch(
      /^default-src 'none'; style-src 'self'; script-src 'self'/,
    );
    const again = await api.call('GET', path, { headers: { 'if-none-match': headers.get('etag') ?? '' } });
    expect([again.status, again.text], path).toEqual([304, '']);
  }
  const missing = await api.call('GET', '/docs/api/nothing');
  expect(missing.status).toBe(404);
  expect(missing.text).toContain('Page not found');
  const inline = /<[^>]*\s(?:on\w+|style)=|<script(?![^>]* src=)|<style/i;
  expect([...pages].filter(([, text]) => inline.test(text)).map(([path]) => path)).toEqual([]);
});

test('every link leads to a page, a file and an anchor that are there', async () => {
  const statuses = new Map<string, number>();
  const broken: string[] = [];
  for (const [path, text] of pages) {
    for (const link of linksOf(text)) {
      const { origin, pathname, hash } = new URL(link, `${api.url}${path}`);
      if (origin !== api.url) continue;
      if (!statuses.has(pathname)) statuses.set(pathname, (await api.call('GET', pathname)).status);
      const target = pages.get(pathname);
      const isThere = statuses.get(pathname) === 200;
      const hasAnchor = hash === '' || target?.includes(`id="${decodeURIComponent(hash.slice(1))}"`) === true;
      if (!isThere || !hasAnchor) broken.push(`${path}: ${link}`);
    }
    const ids = [...text.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id);
    expect(ids.length, `${path} has an id twice`).toBe(new Set(ids).size);
  }
  expect(broken).toEqual([]);
});

test('the type of a problem leads to the page of its code', async () => {
  const { key } = await api.account();
  const problems = await Promise.all([
    api.call('GET', '/exports'),
    api.call('GET', '/exports/exp_none', { key }),
    api.call('PUT', '/exports', { key }),
    api.call('POST', '/exports', { key, body: { resource: 'none' } }),
    api.call('POST', '/exports', { key, body: '{' }),
    api.call('GET', '/admin/accounts', { key }),
  ]);
  const codes = problems.map(({ json }) => json.code);
  expect(codes).toEqual([
    'unauthorized',
    'not_found',
    'method_not_allowed',
    'invalid',
    'malformed',
    'forbidden',
  ]);
  for (const { json } of problems) {
    const page = pages.get(new URL(json.type, api.url).pathname);
    expect(page, json.type).toContain(`<code>${json.code}</code>`);
  }
});

test('every operation, schema and event type of the document is on a page', async () => {
  const { json } = await api.call('GET', '/openapi.json');
  const document = json as ApiDocument;
  const all = [...pages.values()].join('\n');
  for (const { operationId } of operationsOf(document)) expect(all).toContain(`<h2 id="${operationId}">`);
  for (const name of Object.keys(document.components.schemas)) expect(all).toContain(`<h2 id="${name}">`);
  for (const type of Object.keys(document.webhooks ?? {})) {
    expect(pages.get('/docs/events')).toContain(`<h2 id="type-${type.replaceAll('.', '-')}">`);
  }
});

/** A request as a snippet sends it. */
interface Received {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** Takes requests in the order in which they arrive. */
async function openEcho() {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => {
      const { method = '', url = '', headers } = request;
      received.push({ method, url, headers, body: Buffer.concat(parts).toString() });
      response.end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    take: () => received.splice(0),
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}

/** What is hard to write in one of the languages. */
const DIFFICULT: PlacedOperation = {
  operationId: 'difficult',
  method: 'POST',
  path: '/things/{id}',
  summary: '',
  responses: {},
  parameters: [
    { name: 'id', in: 'path', schema: {}, example: 'a b/$HOME`x`' },
    { name: 'q', in: 'query', schema: {}, example: '"quoted" & $TANDEM_KEY' },
    { name: 'Idempotency-Key', in: 'header', schema: {} },
  ],
  requestBody: {
    content: {
      'application/json': {
        example: {
          // biome-ignore lint/suspicious/noTemplateCurlyInString: a text that must not be a template anywhere.
          text: 'it\'s "x"\n`y` ${z} \\ $HOME ü',
          list: [true, null, { a: 1.5 }],
          empty: {},
          'a-b': [],
        },
      },
    },
  },
};

test('the example of an operation is the same request in curl, TypeScript and Python', async () => {
  await using echo = await openEcho();
  const { json } = await api.call('GET', '/openapi.json');
  const document = json as ApiDocument;
  const operations = [...operationsOf(document), DIFFICULT];
  const folder = await mkdtemp(join(tmpdir(), 'tandem-snippets-'));
  const codesOf = (id: string) =>
    operations.map((operation) => snippetsOf(document, operation).find((tab) => tab.id === id)?.code ?? '');
  const env = { ...process.env, TANDEM_URL: echo.url, TANDEM_KEY: 'tk_test' };
  try {
    const script = codesOf('curl').join('\n').replaceAll('$(uuidgen)', 'a-key');
    await promisify(execFile)('bash', ['-e', '-c', script], { env });
    const byCurl = echo.take();
    expect(byCurl).toHaveLength(operations.length);

    const functions = codesOf('typescript').map((code) => `await (async () => {\n${code}\n})();`);
    await writeFile(join(folder, 'snippets.mts'), functions.join('\n'));
    await promisify(execFile)(process.execPath, [join(folder, 'snippets.mts')], { env });
    expect(echo.take().map(shownOf)).toEqual(byCurl.map(shownOf));

    if (python === undefined) return;
    const start = `import os, sys\nos.environ.update(TANDEM_URL=sys.argv[1], TANDEM_KEY="tk_test")\nprint = lambda *_: None`;
    const lines = [start, ...codesOf('python'), 'sys.stdout.write("{}")'];
    await writeFile(join(folder, 'snippets.py'), lines.join('\n'));
    await python.read(join(folder, 'snippets.py'), echo.url);
    expect(echo.take().map(shownOf)).toEqual(byCurl.map(shownOf));
  } finally {
    await rm(folder, { recursive: true });
  }
});

/** What must be the same: a client chooses further headers, and how it writes JSON. */
function shownOf({ method, url, headers, body }: Received) {
  const { authorization, 'content-type': type, 'idempotency-key': key } = headers;
  const isJson = type?.startsWith('application/json') === true;
  return {
    method,
    url,
    authorization,
    type,
    isIdempotent: key !== undefined,
    body: isJson ? JSON.parse(body) : body,
  };
}

/** Pages of problems that two others stand for. */
const isRepeated = (path: string) => /\/problems\/(?!invalid|too_many)/.test(path);

test.skipIf(browser === undefined)(
  'in a browser every page is accessible and without a complaint, light and dark, on a desktop and a phone',
  async () => {
    if (browser === undefined) return;
    const violations: string[] = [];
    for (const [size, options] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
      const context = await browser.open({ ...options, colorScheme: 'light' });
      const page = await context.newPage();
      const faults = watchFaults(page, api.url);
      for (const path of pages.keys()) {
        // Colours are the same on a phone, and pages of problems are made alike: the rest would only repeat.
        const isDesktop = size === 'desktop';
        if (!isDesktop && isRepeated(path)) continue;
        await page.goto(`${api.url}${path}`);
        violations.push(...(await findAxeViolations(page)));
        for (const colorScheme of isDesktop && !isRepeated(path) ? (['dark', 'light'] as const) : []) {
          await page.emulateMedia({ colorScheme });
          violations.push(...(await findContrastViolations(page)));
        }
        const overflow = await overflowOf(page);
        if (overflow > 0) violations.push(`${size} ${path} is ${overflow} pixels too wide`);
        if (!isRepeated(path)) await takePictures(page, path.slice(1).replaceAll('/', '-'), size);
      }
      violations.push(...faults);
      await context.close();
    }
    expect(violations).toEqual([]);
  },
  300_000,
);

test.skipIf(browser === undefined)('without JavaScript tabs change and the menu opens', async () => {
  if (browser === undefined) return;
  const context = await browser.open({ ...PHONE, javaScriptEnabled: false });
  const page = await context.newPage();
  const faults = watchFaults(page, api.url);
  await page.goto(`${api.url}/docs/api/exports`);
  const tabs = page.locator('.tabs').first();
  expect(await tabs.locator('pre').first().isVisible()).toBe(true);
  await tabs.getByText('Python', { exact: true }).click();
  expect(await tabs.locator('pre').nth(0).isVisible()).toBe(false);
  expect(await tabs.locator('pre').nth(2).isVisible()).toBe(true);
  expect(await page.locator('[data-theme-switch]').isVisible()).toBe(false);
  const menu = page.locator('#menu');
  expect(await menu.isVisible()).toBe(false);
  await page.getByRole('button', { name: 'Menu' }).click();
  await menu.getByRole('link', { name: 'Keep a replica' }).click();
  expect(await page.getByRole('heading', { level: 1 }).textContent()).toContain('Keep a replica');
  expect(faults).toEqual([]);
  await context.close();
});

test.skipIf(browser === undefined)(
  'with JavaScript the language and the theme are remembered, and code is copied',
  async () => {
    if (browser === undefined) return;
    const context = await browser.open({ ...DESKTOP, colorScheme: 'light' });
    await context.grantPermissions(['clipboard-read', 'clipboard-write']);
    const page = await context.newPage();
    const faults = watchFaults(page, api.url);
    await page.goto(`${api.url}/docs/api/exports`);
    // By the keyboard: the radio buttons of the tabs.
    await page.locator('.tabs input').first().focus();
    await page.keyboard.press('ArrowRight');
    const hidden = page.locator('.tabs:has([value=python])').nth(1).locator('pre');
    expect(await hidden.nth(1).isVisible()).toBe(true);
    await page.locator('.tabs').first().getByRole('button', { name: 'Copy' }).click();
    await page.getByRole('button', { name: 'Copied' }).waitFor();
    expect(await page.evaluate('navigator.clipboard.readText()')).toContain('await fetch(');
    await page.getByRole('button', { name: 'Dark theme' }).click();
    await page.goto(`${api.url}/docs/api/feed`);
    expect(await page.locator('html').getAttribute('data-theme')).toBe('dark');
    expect(await page.getByRole('button', { name: 'Dark theme' }).getAttribute('aria-pressed')).toBe('true');
    expect(await page.locator('.tabs').first().locator('pre').nth(1).isVisible()).toBe(true);
    await page.setViewportSize(PHONE.viewport);
    await page.getByRole('button', { name: 'Menu' }).click();
    expect([...(await findAxeViolations(page)), ...(await findContrastViolations(page))]).toEqual([]);
    await page.keyboard.press('Escape');
    expect(await page.locator('#menu').isVisible()).toBe(false);
    expect(faults).toEqual([]);
    await context.close();
  },
);
