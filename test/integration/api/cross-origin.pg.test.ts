import { readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Tandem as Client } from '../../../schemas/clients/typescript/src/client.ts';
import type { ApiError } from '../../../schemas/clients/typescript/src/errors.ts';
import { openLocalServer } from '../../../schemas/clients/typescript/test/local-server.ts';
import { openTestApi, type TestApi } from '../../support/api-server.ts';
import { openBrowser, type TestBrowser } from '../../support/browser.ts';

const SOURCE = new URL('../../../schemas/clients/typescript/src/', import.meta.url);

const PAGE = `<!doctype html><title>Product</title><link rel="icon" href="data:,">
<script type="module">import { Tandem } from '/index.ts'; globalThis.Tandem = Tandem;</script>`;

/** A product's page, on an origin of its own, with the modules of the client beside it. */
const product = await openLocalServer(({ url }, response) => {
  const [, file] = /^\/([\w-]+\.ts)$/.exec(url) ?? [];
  if (file === undefined) {
    response.writeHead(200, { 'content-type': 'text/html' }).end(PAGE);
    return;
  }
  const module = stripTypeScriptTypes(readFileSync(new URL(file, SOURCE), 'utf8'), { mode: 'transform' });
  response.writeHead(200, { 'content-type': 'text/javascript' }).end(module);
});

const browser: TestBrowser | undefined = await openBrowser();
let api: TestApi;
let key: string;

beforeAll(async () => {
  api = await openTestApi({ corsOrigins: [product.url] });
  key = (await api.account()).key;
});

afterAll(async () => {
  await browser?.[Symbol.asyncDispose]();
  await api?.[Symbol.asyncDispose]();
  await product[Symbol.asyncDispose]();
});

test.runIf(browser)(
  'a page of an allowed origin uses the client, and reads what a problem says',
  async () => {
    await using context = await browser?.open();
    const page = await context?.newPage();
    await page?.goto(product.url);
    const seen = await page?.evaluate(
      async ([url, secret]) => {
        const { Tandem } = globalThis as unknown as { Tandem: typeof Client };
        const client = new Tandem({ baseUrl: url, key: secret, maxRetries: 0 });
        const { id } = await client.exports.create({ resource: 'invoices' });
        const cancelled = await client.exports.cancel(id);
        const refusal = await client.exports.create({ resource: 'nothing' }).then(
          () => undefined,
          (error: unknown) => error as ApiError,
        );
        const response = await fetch(`${url}/account`, { headers: { authorization: `Bearer ${secret}` } });
        return {
          status: cancelled.status,
          code: refusal?.code,
          hasRequestId: /^req_/.test(refusal?.requestId ?? ''),
          rate: response.headers.get('ratelimit-policy') !== null,
        };
      },
      [api.url, key] as const,
    );
    expect(seen).toEqual({ status: 'cancelled', code: 'invalid', hasRequestId: true, rate: true });
  },
);

test.runIf(browser)('a page of another origin gets nothing', async () => {
  await using context = await browser?.open();
  const page = await context?.newPage();
  await page?.goto(product.url.replace('127.0.0.1', 'localhost'));
  const seen = await page?.evaluate(
    ([url, secret]) =>
      fetch(`${url}/account`, { headers: { authorization: `Bearer ${secret}` } }).then(
        () => 'read',
        () => 'refused',
      ),
    [api.url, key] as const,
  );
  expect(seen).toBe('refused');
});

test('only the API is shared, for the methods and headers of its clients, and never with cookies', async () => {
  const ask = (path: string, origin: string) =>
    fetch(`${api.url}${path}`, {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': 'POST' },
    });
  const { status, headers } = await ask('/exports', product.url);
  expect([status, headers.get('access-control-allow-origin'), headers.get('vary')]).toEqual([
    204,
    product.url,
    expect.stringContaining('Origin'),
  ]);
  expect(headers.get('access-control-allow-headers')).toContain('idempotency-key');
  expect(headers.get('access-control-allow-credentials')).toBeNull();
  const refused = [
    ['/exports', 'https://elsewhere.example'],
    ['/dashboard', product.url],
    ['/docs', product.url],
  ] as const;
  for (const [path, origin] of refused) {
    expect((await ask(path, origin)).headers.get('access-control-allow-origin')).toBeNull();
  }
  // A page has one spelling: under another it would pass for a path of the API.
  for (const path of ['/Dashboard/login', '/DOCS']) {
    expect((await fetch(`${api.url}${path}`, { headers: { origin: product.url } })).status).toBe(404);
  }
});
