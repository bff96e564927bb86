import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { operatorPages } from '../../services/api/dashboard/operator/operator-routes.ts';
import { dashboardPages } from '../../services/api/dashboard/routes.ts';
import { ADMIN_KEY, type TestApi } from '../support/api-server.ts';
import {
  DESKTOP,
  findAxeViolations,
  findContrastViolations,
  openBrowser,
  PHONE,
  type TestBrowser,
  takePictures,
  watchFaults,
} from '../support/browser.ts';
import { crawlDashboard } from '../support/crawl-dashboard.ts';
import { createDashboardVisitor, enterDashboard } from '../support/dashboard.ts';
import { type DashboardWorld, HOSTILE_TEXTS, openDashboardWorld } from '../support/dashboard-world.ts';

const browser: TestBrowser | undefined = await openBrowser();

let world: DashboardWorld;
let api: TestApi;
beforeAll(async () => {
  if (browser === undefined) return;
  world = await openDashboardWorld();
  api = world.api;
});
afterAll(async () => {
  await browser?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
});

const CUSTOMER = dashboardPages({ frameAncestors: [] });
const OPERATOR = operatorPages();

async function signIn(page: Page): Promise<void> {
  await page.goto(`${api.url}/dashboard/login`);
  await page.getByLabel('API key').fill(ADMIN_KEY);
  await page.keyboard.press('Enter');
  await page.waitForURL(`${api.url}/dashboard/operator`);
}

/** What the keyboard does not reach, or reaches without a mark of where it is. */
async function findUnreached(page: Page): Promise<string[]> {
  const count = await page.evaluate<number>(`(() => {
    const fields = 'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex="0"]';
    window.reached = new Map();
    window.toReach = [...document.querySelectorAll(fields)]
      .filter((each) => !each.disabled && each.tabIndex >= 0 && each.checkVisibility());
    document.addEventListener('focusin', ({ target }) => {
      const { outlineStyle, boxShadow } = getComputedStyle(target);
      window.reached.set(target, outlineStyle !== 'none' || boxShadow !== 'none');
    });
    document.activeElement?.blur();
    return window.toReach.length;
  })()`);
  const left = () =>
    page.evaluate<string[]>(`window.toReach
      // Of radio buttons with one name the keyboard reaches one, and chooses by arrows.
      .filter((each) => window.reached.get(each) !== true && each.type !== 'radio')
      .map((each) => location.pathname + ' keyboard: ' + each.outerHTML.slice(0, 120))`);
  // Fields of dates have several stops, and so have texts that are scrolled.
  for (let rounds = 0; rounds < 3 && (await left()).length > 0; rounds += 1) {
    for (let presses = 0; presses <= count; presses += 1) await page.keyboard.press('Tab');
  }
  return left();
}

/** What is wrong with a page, whatever it shows. */
async function findFaults(page: Page, isFirst: boolean): Promise<string[]> {
  await page.evaluate(`for (const each of document.querySelectorAll('details')) each.open = true`);
  const found = await findAxeViolations(page);
  if (isFirst) {
    found.push(...(await findContrastViolations(page)));
    await page.emulateMedia({ colorScheme: 'dark' });
    found.push(...(await findContrastViolations(page)));
    await page.emulateMedia({ colorScheme: 'light' });
    found.push(...(await findUnreached(page)));
  }
  const told = await page.evaluate<Record<string, unknown>>(`({
    tooWide: document.documentElement.scrollWidth - screen.width,
    headings: document.querySelectorAll('h1').length,
    broken: window.broken ?? 0,
    moving: document.getAnimations().length,
  })`);
  const right = { tooWide: 0, headings: 1, broken: 0, moving: 0 };
  for (const [name, value] of Object.entries(right)) {
    if (told[name] !== value) found.push(`${page.url()} ${name}: ${told[name]}`);
  }
  return found;
}

/** Asks for the pages of one account with the session of another. */
async function expectUnseen(paths: readonly string[]): Promise<void> {
  const visitor = createDashboardVisitor(api);
  const cookie = await visitor.open(await api.account());
  const ids = [...new Set(paths.flatMap((path) => path.match(/\b(?:exp|whk|blk|evt|key)_\w+/g) ?? []))];
  expect(new Set(ids.map((id) => id.slice(0, 4)))).toEqual(new Set(['exp_', 'whk_', 'blk_', 'evt_', 'key_']));
  for (const path of paths) {
    const { status, text } = await visitor.show(path, cookie);
    const [place = ''] = path.split('?');
    expect(status, path).toBe(
      ids.some((id) => place.includes(id)) ? 404 : /[?&]\w+=exp_/.test(path) ? 404 : 200,
    );
    // It repeats what it was asked for, and has nothing else of the other account.
    expect(
      ids.filter((id) => text.includes(id) && !path.includes(id)),
      path,
    ).toEqual([]);
    expect(text, path).not.toContain('window.broken');
  }
}

test.skipIf(browser === undefined).each([
  ['customers', ['/dashboard'], CUSTOMER],
  // Links lead to the consumers where their lag is known.
  ['the operator', ['/dashboard/operator', '/dashboard/operator/consumers'], OPERATOR],
] as const)(
  'hostile texts break out of no page of %s, which all are accessible and fit a phone',
  async (who, start, pages) => {
    if (browser === undefined) return;
    const account = await world.arrange(HOSTILE_TEXTS);
    await using context = await browser.open({ ...PHONE, colorScheme: 'light' });
    const page = await context.newPage();
    const faults = watchFaults(page, api.url);
    page.on('dialog', (dialog) => {
      faults.push(`${page.url()} dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    if (who === 'customers') await enterDashboard(page, api, account, '/dashboard');
    else await signIn(page);
    const found: string[] = [];
    const { visited, unreached } = await crawlDashboard(page, start, pages, async (path, isFirst) => {
      found.push(...(await findFaults(page, isFirst)));
      await takePictures(page, `hostile${path.replaceAll(/\W+/g, '-')}`.slice(0, 60), 'phone');
    });
    expect([...found, ...faults]).toEqual([]);
    expect(unreached).toEqual([]);

    const cookies = await context.cookies();
    await using plain = await browser.open({ ...PHONE, javaScriptEnabled: false });
    await plain.addCookies(cookies);
    const still = await plain.newPage();
    const withoutScripts = watchFaults(still, api.url);
    for (const path of visited.keys()) {
      await still.goto(`${api.url}${path}`);
      expect(await still.locator('h1').count(), path).toBe(1);
      // What works with a module alone is not shown, and each form can be sent.
      expect(await still.locator('.scripted:visible').count(), path).toBe(0);
      expect(await still.locator('form:not(:has(button, input[type=submit]))').count(), path).toBe(0);
    }
    expect(withoutScripts).toEqual([]);
    if (who === 'customers') await expectUnseen([...visited.keys()]);
  },
);

async function advance(id: string, written: number): Promise<void> {
  await api.pool.query(
    `/* arranged */ update exports set status = 'running', phase = 'extracting', started_at = coalesce(started_at, now()),
       rows_estimated = 1000, rows_extracted = $2, rows_written = $2 where id = $1`,
    [id, written],
  );
}

test.skipIf(browser === undefined)(
  'a page that somebody uses says that it has changed, and one that is hidden asks nothing',
  async () => {
    if (browser === undefined) return;
    const account = await api.account();
    const body = { resource: 'invoices' };
    const { id } = (await api.call('POST', '/exports', { key: account.key, body })).json;
    await using context = await browser.open(PHONE);
    const page = await context.newPage();
    await enterDashboard(page, api, account, '/dashboard');
    await page.goto(`${api.url}/dashboard/exports/${id}`);
    await page.evaluate('window.sameDocument = true');
    const question = page.locator('.confirm', { hasText: 'Cancel the export' });
    await question.locator('summary').click();
    await advance(id, 100);
    await page.getByText('This page has changed.').waitFor();
    expect(await page.evaluate('window.sameDocument')).toBe(true);
    await page.evaluate('document.activeElement.blur()');
    await question.locator('summary').tap();
    await page.evaluate('document.activeElement.blur()');
    await page.locator('[data-bar="progress"]').waitFor();
    expect(await page.evaluate('window.sameDocument')).toBe(undefined);

    const see = (isHidden: boolean) =>
      page.evaluate(`Object.defineProperty(document, 'hidden', { value: ${isHidden}, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'))`);
    const isLive = (request: { url(): string }) => request.url().endsWith('/live');
    const left = page.waitForEvent('requestfailed', { predicate: isLive });
    await see(true);
    await left;
    const asked: string[] = [];
    page.on('request', (request) => asked.push(request.url()));
    await advance(id, 700);
    expect(await page.locator('[data-text="percent"]').textContent()).toBe('10%');
    expect(asked).toEqual([]);
    await see(false);
    await page.locator('[data-text="percent"]', { hasText: '70%' }).waitFor();
  },
);

test.skipIf(browser === undefined || process.env.SCREENSHOTS === undefined)(
  'pictures of every page, as a customer sees it',
  async () => {
    if (browser === undefined) return;
    const account = await world.arrange();
    for (const [size, options] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
      await using context = await browser.open({ ...options, colorScheme: 'light' });
      const page = await context.newPage();
      await enterDashboard(page, api, account, '/dashboard');
      await crawlDashboard(page, ['/dashboard'], CUSTOMER, async (path, isFirst) => {
        const name = path.replaceAll(/_0\w+/g, '').replaceAll(/\W+/g, '-').slice(1);
        await takePictures(page, isFirst ? name : `${name}-2`, size);
      });
    }
  },
);
