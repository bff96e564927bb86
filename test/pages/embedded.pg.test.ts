import type { BrowserContext, Frame, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SCOPES } from '../../services/api/http/caller.ts';
import { createPublicUrls } from '../../services/api/http/public-urls.ts';
import { ADMIN_KEY, openTestApi, type TestApi } from '../support/api-server.ts';
import { openBrowser, type TestBrowser } from '../support/browser.ts';
import { newPortalLink } from '../support/dashboard.ts';
import { openTlsFront, passTo } from '../support/tls-front.ts';
import { waitFor } from '../support/wait-for.ts';

const browser: TestBrowser | undefined = await openBrowser({ blocksThirdPartyCookies: true });

const cleanup = new AsyncDisposableStack();
let api: TestApi;
/** The dashboard, the product that frames it, and somebody else: three sites. */
let dashboard: string;
let product: string;
let stranger: string;

beforeAll(async () => {
  if (browser === undefined) return;
  cleanup.use(browser);
  const { port } = cleanup.use(await openTlsFront(passTo(() => api.url)));
  const pages = cleanup.use(
    await openTlsFront((request, response) => {
      const src = new URL(request.url ?? '', 'https://x').searchParams.get('src') ?? '';
      response.setHeader('content-type', 'text/html');
      response.end(`<!doctype html><title>Product</title><h1>Product</h1>
        <iframe src="${src.replaceAll('"', '&quot;')}" width="900" height="700" title="Dashboard"></iframe>`);
    }),
  );
  dashboard = `https://tandem.test:${port}`;
  product = `https://product.test:${pages.port}`;
  stranger = `https://stranger.test:${pages.port}`;
  api = cleanup.use(
    await openTestApi({ urls: createPublicUrls(() => dashboard), dashboard: { frameAncestors: [product] } }),
  );
});
afterAll(() => cleanup.disposeAsync());

/** The frame in a page of a site. */
async function frameAt(page: Page, site: string, src: string): Promise<Frame> {
  await page.goto(`${site}/?src=${encodeURIComponent(src)}`);
  const frame = page.frames().find((each) => each !== page.mainFrame());
  if (frame === undefined) throw new Error('the page has no frame');
  return frame;
}

const cookieNames = async (context: BrowserContext) =>
  (await context.cookies(dashboard)).map(({ name }) => name);

test.skipIf(browser === undefined)(
  'in a frame of the product the dashboard works, with cookies of third parties blocked, and its session is of that frame alone',
  async () => {
    if (browser === undefined) return;
    const account = await api.account();
    const id = (await api.call('POST', '/exports', { key: account.key, body: { resource: 'invoices' } })).json
      .id;
    await using context = await browser.open({ ignoreHTTPSErrors: true });
    const page = await context.newPage();
    const complaints: string[] = [];
    page.on('console', (message) => complaints.push(message.text()));
    const look = { hide_navigation: true, theme: 'dark', locale: 'de-DE', next: `/dashboard/exports/${id}` };
    const frame = await frameAt(
      page,
      product,
      await newPortalLink(api, account, { scopes: SCOPES, ...look }),
    );
    await frame.locator('.states', { hasText: id }).waitFor();
    expect(frame.url()).toBe(`${dashboard}/dashboard/exports/${id}`);
    expect(await frame.locator('html').getAttribute('lang')).toBe('de');
    expect(await frame.locator('html').getAttribute('data-theme')).toBe('dark');
    expect(await frame.locator('header').count()).toBe(0);

    const [cookie, ...others] = await context.cookies(dashboard);
    expect(others).toEqual([]);
    expect(cookie).toMatchObject({
      name: '__Host-tandem_framed',
      httpOnly: true,
      secure: true,
      sameSite: 'None',
      partitionKey: 'https://product.test',
    });

    // What moves comes into the frame, and its forms are taken.
    await api.pool.query(
      `/* arranged */ update exports set status = 'running', phase = 'extracting', started_at = now(),
         rows_estimated = 1000, rows_extracted = 300, rows_written = 300 where id = $1`,
      [id],
    );
    await frame.locator('[data-text="percent"]', { hasText: '30' }).waitFor();
    await frame.getByText('Export abbrechen', { exact: true }).click();
    // The page that the form leads to: a later one would be asked for in its midst.
    const followed = frame.waitForNavigation();
    await frame.getByRole('button', { name: 'Ja, ausführen' }).click();
    await followed;
    await waitFor('the export is cancelled', async () => {
      const { json } = await api.call('GET', `/exports/${id}`, { key: account.key });
      return json.status !== 'running';
    });
    expect(complaints).toEqual([]);

    // A cookie of a third party that is not partitioned does not get through: the block is on.
    await page
      .context()
      .addCookies([{ name: 'unpartitioned', value: '1', url: dashboard, secure: true, sameSite: 'None' }]);
    const sent = page.waitForRequest((request) => request.url().endsWith('/dashboard/exports'));
    await frame.goto(`${dashboard}/dashboard/exports`);
    const header = (await (await sent).allHeaders()).cookie ?? '';
    expect(header).toContain('__Host-tandem_framed=');
    expect(header).not.toContain('unpartitioned');

    const tab = await context.newPage();
    await tab.goto(`${dashboard}/dashboard`);
    await tab.getByRole('heading', { name: 'Sign in' }).waitFor();
    await api.call('DELETE', `/admin/accounts/${account.id}/portal-sessions`, { key: ADMIN_KEY });
    await frame.getByRole('heading', { name: 'Ihre Sitzung ist zu Ende' }).waitFor();
  },
);

test.skipIf(browser === undefined)(
  'nobody else frames the dashboard, and nobody at all the operator’s pages',
  async () => {
    if (browser === undefined) return;
    await using context = await browser.open({ ignoreHTTPSErrors: true });
    const page = await context.newPage();
    const refused: string[] = [];
    page.on('console', (message) => {
      if (message.text().includes('frame-ancestors')) refused.push(message.text());
    });
    const link = await newPortalLink(api, await api.account());
    const shown = async (site: string, path: string) => {
      const frame = await frameAt(page, site, path.startsWith('https:') ? path : `${dashboard}${path}`);
      return frame.url().startsWith(dashboard) ? frame.locator('h1').textContent() : 'refused';
    };
    expect(await shown(stranger, link)).toBe('refused');
    expect(await shown(stranger, '/dashboard/login')).toBe('refused');
    expect(await shown(product, '/dashboard/login')).toBe('Sign in');
    expect(await shown(product, '/dashboard/operator')).toBe('refused');
    expect(await shown(product, '/dashboard/operator/nothing')).toBe('refused');
    // The browser tells of the last one a moment after its page is there.
    await waitFor('each refusal to be told', () => refused.length === 4);
    expect(await cookieNames(context)).toEqual([]);
    // The link was not used up by the refusal.
    await page.goto(link);
    await page.waitForURL(`${dashboard}/dashboard`);
    expect(await cookieNames(context)).toEqual(['__Host-tandem_session']);
  },
);
