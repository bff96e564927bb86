import type { BrowserContext, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ADMIN_KEY } from '../support/api-server.ts';
import {
  DESKTOP,
  findFaultsOfLook,
  openBrowser,
  PHONE,
  type TestBrowser,
  takePictures,
  watchFaults,
} from '../support/browser.ts';
import { type BulkWorld, openBulkWorld } from '../support/bulk-world.ts';
import { enterDashboard } from '../support/dashboard.ts';

const browser: TestBrowser | undefined = await openBrowser();

const HOSTILE = `<img src=x onerror="alert(1)">'"&{{x}}</script> ${'long'.repeat(60)}`;

let world: BulkWorld;
beforeAll(async () => {
  world = await openBulkWorld({ maxQueuedBulk: 100 });
});
afterAll(async () => {
  await browser?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
});

type Account = Awaited<ReturnType<BulkWorld['account']>>;

async function newJob({ key }: Account, request: Readonly<Record<string, unknown>>): Promise<string> {
  const body = { resource: 'invoices', operation: 'void', async: true, ...request };
  return (await world.submit(key, body)).json.job_id;
}

/** What workers would have done so far. */
async function advance(id: string, processed: number, total = 5_000): Promise<void> {
  const failed = Math.floor(processed / 20);
  await world.api.pool.query(
    `/* arranged */ update bulk_jobs set status = 'running', admitted_at = now(), listed_at = now(), started_at = coalesce(started_at, now() - interval '40 s'),
       total = $3::int, estimated = $3::int, failed = $4::int, skipped = $5::int, succeeded = $2::int - $4::int - $5::int, rate = 60, last_updated_at = now(),
       error_counts = $6, recent_errors = $7 where id = $1`,
    [
      id,
      processed,
      total,
      failed,
      Math.floor(processed / 50),
      JSON.stringify(failed === 0 ? {} : { not_found: failed - 1, rejected: 1 }),
      JSON.stringify(
        failed === 0
          ? []
          : [
              {
                seq: 2,
                item_id: '884213',
                code: 'not_found',
                message: 'There is no such record.',
                at: new Date().toISOString(),
              },
              {
                seq: 1,
                item_id: HOSTILE.slice(0, 200),
                code: 'rejected',
                message: HOSTILE,
                at: new Date().toISOString(),
              },
            ],
      ),
    ],
  );
}

/** An account with a job of each kind. */
async function arrange() {
  const account = await world.account(60);
  const { key, ids } = account;
  await world.api.call('PATCH', `/admin/accounts/${account.id}`, {
    key: ADMIN_KEY,
    body: { limits: { bulk_quota: { items: 5_000, period: 'month' } } },
  });
  const ended = await newJob(account, {
    ids: [...ids, ids[0], '7777777', '7777778', '7777779', 'not-a-number', HOSTILE],
  });
  const stop = await world.startWorker();
  await world.until(key, ended);
  await stop();
  const paused = await newJob(account, { ids: [ids[0]] });
  await world.api.call('POST', `/bulk/operations/${paused}/pause`, { key });
  const failed = await newJob(account, { operation: 'update', params: { memo: 'x' }, ids: [ids[1]] });
  await world.api.pool.query(
    `/* arranged */ update bulk_jobs set status = 'failed', ended_at = now(), error = $2 where id = $1`,
    [
      failed,
      JSON.stringify({
        code: 'source_refused',
        message: 'The source database refuses the statement: permission denied for table invoices.',
      }),
    ],
  );
  const running = await newJob(account, { operation: 'delete', filter: { status: { eq: 'open' } } });
  await advance(running, 1_240);
  const queued = await newJob(account, { ids: [ids[2]] });
  return { account, ended, paused, failed, running, queued };
}

async function enter(context: BrowserContext, account: Account): Promise<Page> {
  const page = await context.newPage();
  await enterDashboard(page, world.api, account, '/dashboard/bulk');
  return page;
}

test.skipIf(browser === undefined)(
  'every page is accessible and without a complaint, light and dark, on a desktop and a phone',
  async () => {
    if (browser === undefined) return;
    const { account, ...jobs } = await arrange();
    const empty = await world.account(1);
    const violations: string[] = [];
    for (const [size, options] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
      await using context = await browser.open({ ...options, colorScheme: 'light' });
      const page = await enter(context, account);
      const faults = watchFaults(page, world.api.url);
      const check = async (name: string) => {
        violations.push(...(await findFaultsOfLook(page, `dashboard-bulk-${name}`, size)));
      };
      await check('list');
      for (const [name, id] of Object.entries(jobs)) {
        await page.goto(`${world.api.url}/dashboard/bulk/${id}`);
        for (const summary of await page.locator('main summary').all()) await summary.click();
        await check(`job-${name}`);
      }
      await page.goto(`${world.api.url}/dashboard/bulk/${jobs.ended}/results?status=failed`);
      await check('results');
      await page.goto(`${world.api.url}/dashboard/bulk/new`);
      await check('choose');
      await page.getByRole('link', { name: 'update invoices' }).click();
      await page.getByLabel('Field, condition 1').selectOption('memo');
      await page.getByLabel('Comparison, condition 1').selectOption('prefix');
      await page.getByLabel('Value, condition 1').fill('memo');
      await page.getByLabel('Value of memo').fill('checked');
      await page.getByRole('button', { name: 'Add a condition' }).click();
      await page.getByLabel('Field, condition 2').selectOption('total');
      await page.getByLabel('Comparison, condition 2').selectOption('gte');
      await page.getByLabel('Value, condition 2').fill('many');
      await page.getByRole('button', { name: 'Preview' }).last().click();
      await page.getByRole('alert').waitFor();
      await page.locator('main summary').click();
      await check('new-refused');
      await page.getByLabel('Value, condition 2').fill('10');
      await page.getByRole('button', { name: 'Preview' }).last().click();
      await page.getByRole('button', { name: 'Start: update' }).waitFor();
      await check('new-preview');
      await page.getByRole('link', { name: 'By IDs' }).click();
      await page.getByLabel('IDs').waitFor();
      await check('new-ids');
      await page.getByRole('link', { name: 'By a file of IDs' }).click();
      await page.getByLabel('File of IDs').waitFor();
      await check('new-file');
      await page.getByLabel('File of IDs').setInputFiles({
        name: 'ids.txt',
        mimeType: 'text/plain',
        buffer: Buffer.from(`${account.ids.join('\n')}\n${HOSTILE}\n`),
      });
      await page.getByRole('button', { name: 'Upload the file' }).click();
      await page.getByText('The file is uploaded').waitFor();
      await check('new-uploaded');
      await page.goto(`${world.api.url}/dashboard/bulk/${jobs.ended}`);
      await page.getByRole('link', { name: 'Try the failed items again' }).click();
      await page.getByText('The job takes the').waitFor();
      await check('new-failed');
      // One refused form responded with 422.
      violations.push(...faults.filter((fault) => !fault.includes('422')));
      await page.context().clearCookies();
      const first = await enter(context, empty);
      await takePictures(first, 'dashboard-bulk-empty', size);
    }
    expect(violations).toEqual([]);
  },
);

test.skipIf(browser === undefined)(
  'a job moves while one looks, never backwards, and its results are there once it has ended',
  async () => {
    if (browser === undefined) return;
    const account = await world.account(120);
    const ids = [...account.ids, '8888888'];
    const id = await newJob(account, { ids });
    await using context = await browser.open(DESKTOP);
    const page = await enter(context, account);
    const faults = watchFaults(page, world.api.url);
    await page.getByRole('link', { name: 'void invoices' }).click();
    await page.getByText('No. 1 in the queue').waitFor();
    await advance(id, 40, 200);
    await page.locator('[data-text="percent"]', { hasText: '20%' }).waitFor();
    await page.evaluate('window.sameDocument = true');
    await advance(id, 100, 200);
    await page.locator('[data-text="percent"]', { hasText: '50%' }).waitFor();
    expect(await page.locator('[data-text="items"]').textContent()).toBe('100 of 200 items');
    expect(await page.locator('[data-text="left"]').textContent()).toBe('about 2 sec left');
    // More records than were known: the bar stays where it was.
    await advance(id, 101, 1_000);
    await page.locator('[data-text="items"]', { hasText: '101 of 1,000' }).waitFor();
    expect(await page.locator('[data-bar="progress"]').getAttribute('value')).toBe('0.5');
    expect(await page.evaluate('window.sameDocument')).toBe(true);

    const real = await newJob(account, { operation: 'update', params: { memo: 'seen' }, ids });
    await page.goto(`${world.api.url}/dashboard/bulk/${real}`);
    await using cleanup = new AsyncDisposableStack();
    cleanup.defer(await world.startWorker());
    await page.locator('.states .badge', { hasText: 'Completed' }).waitFor();
    expect(await page.locator('[data-text="succeeded"]').textContent()).toBe('120');
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'Download as CSV' }).click(),
    ]);
    expect(download.suggestedFilename()).toBe(`${real}-results.csv`);
    await page.getByRole('link', { name: 'Show the items that failed with not_found' }).click();
    await page.getByRole('rowheader', { name: '8888888' }).waitFor();
    expect(faults.filter((fault) => !fault.includes('/results/file'))).toEqual([]);
  },
);

test.skipIf(browser === undefined)(
  'without JavaScript, by the keyboard alone, a job is made from conditions, paused, resumed and cancelled',
  async () => {
    if (browser === undefined) return;
    const account = await world.account(9);
    await using context = await browser.open({ ...PHONE, javaScriptEnabled: false });
    const page = await context.newPage();
    const faults = watchFaults(page, world.api.url);
    await page.goto(`${world.api.url}/dashboard/bulk/new`);
    const press = async (locator: Locator, key = 'Enter') => {
      await locator.focus();
      await page.keyboard.press(key);
    };
    await page.getByLabel('API key').focus();
    await page.keyboard.type(account.key);
    await page.keyboard.press('Enter');
    await press(page.getByRole('link', { name: 'update invoices' }));
    await page.getByLabel('Field, condition 1').focus();
    await page.keyboard.type('total');
    await page.getByLabel('Comparison, condition 1').focus();
    await page.keyboard.type('is greater');
    await page.getByLabel('Value, condition 1').focus();
    await page.keyboard.type('0');
    await press(page.getByRole('button', { name: 'Add a condition' }));
    await page.getByLabel('Field, condition 2').focus();
    await page.keyboard.type('memo');
    await page.getByLabel('Value, condition 2').focus();
    await page.keyboard.type(`memo ${account.ids[4]}`);
    await page.getByLabel('Value of memo').focus();
    await page.keyboard.type('by keyboard');
    // Nothing was chosen to be done with it. In a field, Enter asks for a preview.
    await press(page.getByLabel('Value, condition 2'));
    await page.getByRole('alert').waitFor();
    expect(await page.getByRole('alert').textContent()).toContain('Choose “Set to the value” for memo');
    await page.getByLabel('What to do with memo').focus();
    await page.keyboard.type('Set');
    await press(page.getByLabel('Value, condition 2'));
    await page.getByText('Records, about').waitFor();
    expect(await page.locator('.preview tbody tr').count()).toBe(1);
    await press(page.getByRole('button', { name: 'Start: update, about 1 record' }));
    await page.locator('.states .badge').waitFor();
    const [job] = (await world.api.call('GET', '/bulk/operations', { key: account.key })).json.data;
    expect(page.url()).toBe(`${world.api.url}/dashboard/bulk/${job.job_id}`);
    const stop = await world.startWorker();
    await world.until(account.key, job.job_id);
    await stop();
    const held = await newJob(account, { operation: 'delete', ids: ['1'] });
    await world.api.pool.query(
      `/* arranged */ update bulk_jobs set status = 'running', admitted_at = now(), started_at = now(), total = 10, error = null, ended_at = null where id = $1`,
      [held],
    );
    await page.goto(`${world.api.url}/dashboard/bulk/${held}`);
    await press(page.getByRole('button', { name: 'Pause' }));
    await page.getByText('Paused on request.').waitFor();
    await press(page.getByRole('button', { name: 'Resume' }));
    await page.locator('.states .badge', { hasText: 'Running' }).waitFor();
    await press(page.locator('summary', { hasText: 'Cancel the job' }));
    await press(page.getByRole('button', { name: 'Yes, do it' }));
    await page.locator('.states .badge', { hasText: 'Cancelled' }).waitFor();
    expect(faults.filter((fault) => !fault.includes('422'))).toEqual([]);
  },
);

test.skipIf(browser === undefined)(
  'with JavaScript the form offers what goes together, and a file of IDs becomes a job',
  async () => {
    if (browser === undefined) return;
    const account = await world.account(4);
    await using context = await browser.open(DESKTOP);
    const page = await enter(context, account);
    const faults = watchFaults(page, world.api.url);
    await page.goto(`${world.api.url}/dashboard/bulk/new/invoices/update`);
    const operator = page.getByLabel('Comparison, condition 1');
    await page.getByLabel('Field, condition 1').selectOption('total');
    expect(await operator.locator('option[value="prefix"]').isDisabled()).toBe(true);
    await operator.selectOption('is_null');
    expect(await page.getByLabel('Value, condition 1').isDisabled()).toBe(true);
    await page.getByLabel('Value of memo').fill('x');
    expect(await page.getByLabel('What to do with memo').inputValue()).toBe('set');

    await page.goto(`${world.api.url}/dashboard/bulk/new/invoices/void?by=file`);
    const buffer = Buffer.from(`id\n${account.ids.join('\n')}\nx\n`);
    await page.getByLabel('File of IDs').setInputFiles({ name: 'ids.csv', mimeType: 'text/csv', buffer });
    await page.getByRole('button', { name: 'Upload the file' }).click();
    await page.getByText('Line 6: is not of type bigint').waitFor();
    await page.getByRole('button', { name: 'Preview' }).last().click();
    await page.getByRole('button', { name: 'Start: void, about 5 records' }).click();
    await using cleanup = new AsyncDisposableStack();
    cleanup.defer(await world.startWorker());
    await page.locator('.states .badge', { hasText: 'Completed' }).waitFor();
    expect(await world.voided(account.sourceId)).toEqual(account.ids);
    expect(faults).toEqual([]);
  },
);
