import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SCOPES } from '../../services/api/http/caller.ts';
import { ADMIN_KEY, openTestApi, type TestApi } from '../support/api-server.ts';
import {
  DESKTOP,
  findAxeViolations,
  findFaultsOfLook,
  openBrowser,
  PHONE,
  type TestBrowser,
  watchFaults,
} from '../support/browser.ts';
import { completeExport } from '../support/complete-export.ts';
import { newPortalLink } from '../support/dashboard.ts';

const browser: TestBrowser | undefined = await openBrowser();

let api: TestApi;
beforeAll(async () => {
  api = await openTestApi({ dashboard: { refreshUrl: 'https://product.example/portal' } });
  await api.pool.query(
    `insert into feed_state (settled_lsn, passed_lsn, system_id, timeline, updated_at) values ('0/A0', '0/A0', '1', 1, now())`,
  );
  await api.pool.query(`create schema documint; create table documint.invoices (id bigint primary key, account_id text not null,
    number text, total numeric(12,2), due date, internal_notes text, created_at timestamptz, deleted_at timestamptz)`);
});
afterAll(async () => {
  await browser?.[Symbol.asyncDispose]();
  await api?.[Symbol.asyncDispose]();
});

type Account = Awaited<ReturnType<TestApi['account']>>;

async function newExport({ key }: Account): Promise<string> {
  return (await api.call('POST', '/exports', { key, body: { resource: 'invoices' } })).json.id;
}

/** What an extractor and a writer would have done so far. */
async function advance(id: string, written: number): Promise<void> {
  await api.pool.query(
    `/* arranged */ update exports set status = 'running', phase = 'extracting', started_at = coalesce(started_at, now()),
       rows_estimated = 1000, rows_extracted = $2, rows_written = $2,
       snapshot = coalesce(snapshot, jsonb_build_object('taken_at', now() - interval '20 seconds', 'lsn', '0/16B3748', 'xmin', '10',
         'xmax', '12', 'xip', '[]'::jsonb))
     where id = $1`,
    [id, written],
  );
}

/** An account with an export of each kind and two endpoints. */
async function arrange(): Promise<
  Record<'waiting' | 'running' | 'completed' | 'failed', string> & { account: Account }
> {
  const account = await api.account();
  const failed = await newExport(account);
  await api.pool.query(
    `/* arranged */ update exports set status = 'failed', phase = 'extracting', started_at = now(), completed_at = now(),
       error = '{"code": "export_timeout", "message": "The export took longer than 6 h."}' where id = $1`,
    [failed],
  );
  const completed = await newExport(account);
  await completeExport(api, completed, '{"id":1}\n{"id":2}\n');
  const running = await newExport(account);
  await advance(running, 420);
  await api.pool.query(
    `insert into export_chunks (export_id, resource, chunk, run_attempt, state, snapshot_name, rows_planned, rows_extracted, rows_written)
     select $1, resource, chunk, run_attempt, case when chunk < 2 then 'extracted' else 'planned' end, 's', 100,
       case when chunk < 2 then 100 else 0 end, case when chunk = 0 then 100 end
     from exports, unnest(array['customers', 'invoices', 'line_items']) resource, generate_series(0, 3) chunk where id = $1`,
    [running],
  );
  const waiting = await newExport(account);
  for (const url of ['https://receiver.example/tandem', 'https://warehouse.example/hooks/changes']) {
    await api.call('POST', '/webhooks', { key: account.key, body: { url, events: ['*'] } });
  }
  await api.pool.query(
    `update webhooks set failing_since = now() - interval '4 minutes', failures_in_row = 3 where url like '%hooks%'`,
  );
  return { account, waiting, running, completed, failed };
}

test.skipIf(browser === undefined)(
  'every page is accessible and without a complaint, light and dark, on a desktop and a phone',
  async () => {
    if (browser === undefined) return;
    const { account, waiting, running, completed, failed } = await arrange();
    const violations: string[] = [];
    for (const [size, options] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
      const context = await browser.open({ ...options, colorScheme: 'light' });
      const page = await context.newPage();
      const faults = watchFaults(page, api.url);
      const check = async (name: string) => {
        violations.push(...(await findFaultsOfLook(page, `dashboard-${name}`, size)));
      };
      await page.goto(`${api.url}/dashboard`);
      await check('login');
      await page.goto(`${api.url}/dashboard/enter`);
      await check('enter');
      await page.goto(await newPortalLink(api, account, { scopes: SCOPES }));
      await page.waitForURL(`${api.url}/dashboard`);
      await check('overview');
      await page.goto(`${api.url}/dashboard/exports`);
      await check('exports');
      await page.getByRole('link', { name: 'New export' }).click();
      await page.getByLabel('invoices', { exact: true }).check();
      await page.locator('[data-estimate-text="duration"]', { hasText: 'sec' }).waitFor();
      for (const summary of await page.locator('main summary').all()) await summary.click();
      await check('new-export');
      for (const [name, id] of Object.entries({ waiting, running, completed, failed })) {
        await page.goto(`${api.url}/dashboard/exports/${id}`);
        for (const summary of await page.locator('main summary').all()) await summary.click();
        await check(`export-${name}`);
      }
      await page.goto(`${api.url}/dashboard/exports/${completed}`);
      await page.getByLabel('URL of your endpoint').fill('http://10.0.0.1/');
      await page.getByRole('button', { name: 'Create the endpoint' }).click();
      await page.getByRole('alert').waitFor();
      await check('export-refused');
      await page.getByLabel('URL of your endpoint').fill(`https://${size}.example/`);
      await page.keyboard.press('Enter');
      await page.getByText('whsec_').waitFor();
      await check('export-continued');
      await page.getByRole('link', { name: 'Back to the export' }).click();
      await page.getByRole('button', { name: 'Deutsch' }).click();
      await page.getByRole('heading', { name: 'Ab hier fortsetzen' }).waitFor();
      await check('export-german');
      await page.goto(`${api.url}/dashboard/exports/new?from=${completed}`);
      await check('new-export-german');
      await page.goto(`${api.url}/dashboard`);
      await check('overview-german');
      await page.goto(await newPortalLink(api, await api.account(), { scopes: SCOPES, locale: 'en-GB' }));
      await page.getByRole('button', { name: 'Switch accounts' }).click();
      await page.getByRole('heading', { name: 'Get your data in three steps' }).waitFor();
      await check('overview-first');
      // A refused form and a question are answers with a status of their own.
      violations.push(...faults.filter((each) => !/ (409|422): |status of (409|422)/.test(each)));
      await context.close();
    }
    expect(violations).toEqual([]);
  },
);

async function textOf(page: Page, name: string): Promise<string | null> {
  return page.locator(`[data-text="${name}"]`).textContent();
}

test.skipIf(browser === undefined)(
  'a link opens the dashboard once, an export moves while one looks, and a revoked session ends by itself',
  async () => {
    if (browser === undefined) return;
    const account = await api.account();
    const id = await newExport(account);
    const context = await browser.open(DESKTOP);
    const page = await context.newPage();
    const faults = watchFaults(page, api.url);
    const url = await newPortalLink(api, account, { next: `/dashboard/exports/${id}`, scopes: SCOPES });
    await page.goto(url);
    await page.waitForURL(`${api.url}/dashboard/exports/${id}`);
    const longAgo = `update portal_sessions set last_seen_at = now() - interval '10 minutes' where account_id = $1`;
    await api.pool.query(longAgo, [account.id]);
    const steps = page.locator('.steps [data-state="current"]');
    expect(await steps.textContent()).toContain('Queued');
    expect(await page.evaluate('document.cookie')).toBe('');

    await advance(id, 100);
    await page.locator('[data-bar="progress"]').waitFor();
    expect(await textOf(page, 'percent')).toBe('10%');
    // It has loaded itself again, which nobody needs to be there for.
    const { rows } = await api.pool.query(
      `select last_seen_at < now() - interval '9 minutes' as idle from portal_sessions where account_id = $1`,
      [account.id],
    );
    expect([rows, page.url()]).toEqual([[{ idle: true }], `${api.url}/dashboard/exports/${id}`]);
    await page.evaluate('window.sameDocument = true');
    await advance(id, 500);
    await page.locator('[data-text="percent"]', { hasText: '50%' }).waitFor();
    expect(await page.locator('[data-bar="progress"]').getAttribute('value')).toBe('0.5');
    expect(await textOf(page, 'rows')).toBe('500 of about 1,000 rows');
    expect(await page.evaluate('window.sameDocument')).toBe(true);
    // A bar never runs backwards, as when an export starts again.
    await advance(id, 400);
    await page.locator('[data-text="rows"]', { hasText: '400 of about' }).waitFor();
    const other = await context.newPage();
    await other.goto(page.url());
    for (const each of [page, other]) {
      expect(await each.locator('[data-bar="progress"]').getAttribute('value')).toBe('0.5');
      expect(await textOf(each, 'percent')).toBe('50%');
    }
    await other.close();

    const sha256 = await completeExport(api, id, '{"id":1}\n');
    await page.getByText(sha256).waitFor();
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'Download invoices.jsonl' }).click(),
    ]);
    expect(download.suggestedFilename()).toBe('invoices.jsonl');
    expect(faults.filter((fault) => !fault.includes('/files/'))).toEqual([]);

    await api.call('DELETE', `/admin/accounts/${account.id}/portal-sessions`, { key: ADMIN_KEY });
    await page.goto(`${api.url}/dashboard`);
    await page.getByRole('heading', { name: 'Your session is over' }).waitFor();
    expect(await page.getByRole('link', { name: 'Get a new link' }).getAttribute('href')).toBe(
      'https://product.example/portal',
    );
    await page.goto(url);
    await page.getByRole('alert').waitFor();
    expect(await page.getByRole('alert').textContent()).toContain('has been used already');
    await context.close();
  },
);

test.skipIf(browser === undefined)(
  'a link to another account asks first, also a second one on that page',
  async () => {
    if (browser === undefined) return;
    const [mine, others] = [await api.account(), await api.account()];
    await using context = await browser.open(DESKTOP);
    const page = await context.newPage();
    await page.goto(await newPortalLink(api, mine, {}));
    await page.waitForURL(`${api.url}/dashboard`);
    for (const link of [await newPortalLink(api, others, {}), await newPortalLink(api, others, {})]) {
      const asked = page.waitForResponse((response) => response.status() === 409);
      await page.goto(link);
      await asked;
      await page.getByRole('heading', { name: 'Switch accounts?' }).waitFor();
    }
    expect(await findAxeViolations(page)).toEqual([]);
    await page.getByRole('button', { name: 'Switch accounts' }).click();
    await page.waitForURL(`${api.url}/dashboard`);
  },
);

test.skipIf(browser === undefined)(
  'a page that somebody looks at tells that its session was revoked',
  async () => {
    if (browser === undefined) return;
    const account = await api.account();
    const id = await newExport(account);
    await using context = await browser.open(DESKTOP);
    const page = await context.newPage();
    await page.goto(await newPortalLink(api, account, { next: `/dashboard/exports/${id}` }));
    await page.waitForURL(`${api.url}/dashboard/exports/${id}`);
    expect(await page.getByText('Cancel the export').count()).toBe(0);
    await api.call('DELETE', `/admin/accounts/${account.id}/portal-sessions`, { key: ADMIN_KEY });
    await page.getByRole('heading', { name: 'Your session is over' }).waitFor();
  },
);

test.skipIf(browser === undefined)(
  'a form tells how large an export would be as it is filled in, and starts it; without JavaScript a button does',
  async () => {
    if (browser === undefined) return;
    const account = await api.account();
    for (const javaScriptEnabled of [true, false]) {
      await using context = await browser.open({ ...DESKTOP, javaScriptEnabled });
      const page = await context.newPage();
      const faults = watchFaults(page, api.url);
      await page.goto(`${api.url}/dashboard/exports/new`);
      await page.getByLabel('API key').fill(account.key);
      await page.keyboard.press('Enter');
      await page.waitForURL(`${api.url}/dashboard/exports/new`);
      const estimate = async () => {
        if (!javaScriptEnabled) await page.getByRole('button', { name: 'Estimate' }).click();
      };
      const fault = page.locator('[data-estimate-fault]');
      await page.getByLabel('invoices', { exact: true }).check();
      await estimate();
      await page.locator('[data-estimate-text="duration"]', { hasText: 'sec' }).waitFor();
      expect(await fault.isVisible()).toBe(false);
      await page.getByLabel('Format').selectOption('parquet');
      await page.getByLabel('Compression').selectOption('gzip');
      await estimate();
      await fault.filter({ hasText: 'must be none for parquet' }).waitFor();
      expect(await page.locator('[data-estimate-text="rows"]').textContent()).toBe('–');
      await page.getByLabel('Compression').selectOption('none');
      await estimate();
      await page.locator('[data-estimate-text="duration"]', { hasText: 'sec' }).waitFor();
      expect(await fault.isVisible()).toBe(false);
      await page.getByRole('button', { name: 'Start the export' }).click();
      await page.locator('.steps').waitFor();
      expect(await page.getByText('parquet').count()).toBe(1);
      // What is wrong with the form is an answer of its own.
      expect(faults.filter((each) => !each.includes('422'))).toEqual([]);
    }
  },
);

test.skipIf(browser === undefined)(
  'without JavaScript, and by the keyboard alone, all of it works',
  async () => {
    if (browser === undefined) return;
    const account = await api.account();
    const id = await newExport(account);
    await using context = await browser.open({ ...PHONE, javaScriptEnabled: false });
    const page = await context.newPage();
    const faults = watchFaults(page, api.url);
    await page.goto(`${api.url}/dashboard/exports/${id}`);
    await page.getByLabel('API key').focus();
    await page.keyboard.type(account.key);
    await page.keyboard.press('Enter');
    await page.locator('.states', { hasText: id }).waitFor();
    await page.locator('main summary').focus();
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Yes, do it' }).focus();
    await page.keyboard.press('Enter');
    await page.locator('.states .badge', { hasText: 'Cancelled' }).waitFor();
    const done = await newExport(account);
    await completeExport(api, done, '{"id":1}\n');
    await page.goto(`${api.url}/dashboard/exports/${done}`);
    await page.getByLabel('URL of your endpoint').focus();
    await page.keyboard.type('https://receiver.example/tandem');
    await page.keyboard.press('Enter');
    await page.getByText('whsec_').waitFor();
    await page.getByRole('link', { name: 'Back to the export' }).focus();
    await page.keyboard.press('Enter');
    await page.locator('#download-curl').focus();
    for (const code of ['downloadExport(', 'client.exports.download(']) {
      await page.keyboard.press('ArrowRight');
      await page.locator('pre:visible', { hasText: code }).waitFor();
    }
    await page.getByRole('button', { name: 'Deutsch' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Der genaue Stand' }).waitFor();
    await page.getByRole('button', { name: 'English' }).click();

    await page.locator('summary', { hasText: 'Menu' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('link', { name: 'Exports', exact: true }).click();
    await page.getByRole('link', { name: 'Running' }).click();
    await page.getByText('No exports match this filter.').waitFor();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('heading', { name: 'You are signed out' }).waitFor();

    const code = new URL(await newPortalLink(api, account, {})).hash.slice('#code='.length);
    await page.goto(`${api.url}/dashboard/enter`);
    await page.getByLabel('Code of the link').fill(code);
    await page.getByRole('button', { name: 'Open the dashboard' }).click();
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    expect(faults).toEqual([]);
  },
);
