import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { GroupLag } from '../../services/api/status/consumer-lag.ts';
import { reportProcess } from '../../shared/control/processes.ts';
import { ADMIN_KEY, openTestApi, type TestApi } from '../support/api-server.ts';
import {
  DESKTOP,
  findFaultsOfLook,
  openBrowser,
  PHONE,
  type TestBrowser,
  watchFaults,
} from '../support/browser.ts';
import { waitFor } from '../support/wait-for.ts';

const browser: TestBrowser | undefined = await openBrowser();

const HOSTILE = `Ac<img src=x onerror="alert(1)">me'"&{{x}} </script> ${'x'.repeat(120)}`;

const lagOf = (
  group: string,
  service: string,
  topic: string,
  lags: readonly (number | null)[],
): GroupLag => ({
  group,
  service,
  state: 'Stable',
  members: 2,
  lag: lags.reduce<number>((sum, lag) => sum + (lag ?? 0), 0),
  topics: [
    {
      topic,
      lag: lags.reduce<number>((sum, lag) => sum + (lag ?? 0), 0),
      partitions: lags.map((lag, partition) => ({ partition, lag })),
    },
  ],
  topics_omitted: 0,
});

/** What Kafka would say of an installation that is busy. */
const GROUPS = [
  lagOf('tandem.dispatcher', 'dispatcher', 'tandem.changes', [41, 0, 3, 12_804, 0, 0, 7, 0, 0, 0, 1, 0]),
  lagOf('tandem.dispatcher.feed', 'dispatcher', 'tandem.capture', [0]),
  lagOf('tandem.writer', 'writer', 'tandem.rows.invoices', [1_204, 0, 88, 0, 0, 17]),
  lagOf('tandem.extractor', 'extractor', 'tandem.commands', [0, null, 0, 0, null, 0]),
];

let api: TestApi;
beforeAll(async () => {
  const slot = {
    plugin: 'pgoutput',
    isOfThisDatabase: true,
    isTemporary: false,
    isActive: true,
    walStatus: 'reserved',
    invalidationReason: null,
    lagBytes: 18_400_000,
    retainedBytes: 2_310_000_000,
    safeWalBytes: null,
  };
  api = await openTestApi({
    slotName: 'tandem',
    slotWatch: {
      latest: () => ({
        state: 'warn',
        reasons: ['the source keeps 2.2 GB of WAL for the slot: SLOT_WARN_BYTES is 1.0 GB'],
        slot,
        seenAtMs: Date.now(),
      }),
    },
    status: { consumerLag: async () => GROUPS },
  });
  await arrange();
});
afterAll(async () => {
  await browser?.[Symbol.asyncDispose]();
  await api?.[Symbol.asyncDispose]();
});

let account: Awaited<ReturnType<TestApi['account']>>;

/** An installation with many accounts, one of which is busy and has a hostile name. */
async function arrange(): Promise<void> {
  await api.pool.query(
    `insert into accounts (id, name, source_id, bulk_quota, created_at)
     select 'acct_' || n, (array['Northwind Traders', 'Globex', 'Initech', 'Umbrella Logistics', 'Stark & Söhne'])[1 + n % 5] || ' ' || n,
       'tenant-' || n, case when n % 3 = 0 then 100000 * n end, now() - n * interval '7 hours'
     from generate_series(1, 40) n`,
  );
  account = await api.account();
  const operator = (method: string, path: string, body: unknown) =>
    api.call(method, path, { key: ADMIN_KEY, body });
  await operator('PATCH', `/admin/accounts/${account.id}`, {
    name: HOSTILE,
    limits: { bulk_quota: { items: 250_000, period: 'month' } },
  });
  const { key } = account;
  for (const status of ['running', 'failed', 'pending']) {
    const { id } = (await api.call('POST', '/exports', { key, body: { resource: 'invoices' } })).json;
    if (status === 'pending') continue;
    await api.pool.query(
      `/* arranged */ update exports set status = $2, phase = 'extracting', started_at = now(), rows_written = 4200,
         error = case when $2 = 'failed' then '{"code": "table_changed", "message": "The table documint.invoices was altered while it was read."}'::jsonb end,
         completed_at = case when $2 = 'failed' then now() end
       where id = $1`,
      [id, status],
    );
  }
  for (const url of ['https://hooks.example/tandem', `https://warehouse.example/${'in/'.repeat(40)}`]) {
    await api.call('POST', '/webhooks', { key, body: { url, events: ['*'] } });
  }
  await api.pool.query(
    `update webhooks set failing_since = now() - interval '40 minutes' where url like '%warehouse%'`,
  );
  const gone = { url: 'https://gone.example/hooks', events: ['*'] };
  await api.call('POST', '/webhooks', { key: (await api.account()).key, body: gone });
  await api.pool.query(
    `update webhooks set status = 'disabled', status_reason = 'the endpoint returned 410 Gone' where url like '%gone%'`,
  );
  await api.pool.query(
    `insert into webhook_attempts (webhook_id, event_id, attempt, started_at, duration_ms, status, outcome)
     select id, 'evt_1', 1, now() - interval '20 seconds', 5, 503, 'failed' from webhooks where url like '%warehouse%'`,
  );
  await api.pool.query(
    `insert into webhook_parked (webhook_id, commit_lsn, idx, committed_at, record_key, state, parked_at)
     select id, '0/1', n, now(), 'invoices/' || n, case when n < 12 then 'dead' else 'waiting' end, now() - interval '3 hours'
     from webhooks, generate_series(0, 30) n where url like '%warehouse%'`,
  );
  const services = ['api', 'api', 'extractor', 'extractor', 'writer', 'dispatcher', 'bulk'];
  for (const [n, service] of services.entries()) {
    await reportProcess(
      api.pool,
      { id: `p${n}`, service, version: '1.2.3', host: `tandem-${n}`, pid: 4_000 + n },
      n !== 3,
    );
  }
  await api.pool.query(`update processes set started_at = now() - interval '3 days' where id <> 'p3'`);
  // None falls silent while its page is looked at, which would load the page again.
  await api.pool.query(
    `update processes set seen_at = now() + case when id = 'p6' then interval '-4 minutes' else interval '1 hour' end`,
  );
  await api.pool.query(
    `insert into feed_state (settled_lsn, passed_lsn, system_id, timeline, updated_at) values ('0/1', '0/1', '1', 1, now() + interval '1 hour')`,
  );
  await operator('POST', `/admin/accounts/${account.id}/portal-links`, {});
}

test.skipIf(browser === undefined)(
  'every page of the operator is accessible and without a complaint, light and dark, on a desktop and a phone',
  async () => {
    if (browser === undefined) return;
    const violations: string[] = [];
    for (const [size, options] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
      await using context = await browser.open({ ...options, colorScheme: 'light' });
      const page = await context.newPage();
      const faults = watchFaults(page, api.url);
      const check = async (name: string) => {
        violations.push(...(await findFaultsOfLook(page, `operator-${name}`, size)));
      };
      await page.goto(`${api.url}/dashboard/operator`);
      await page.getByLabel('API key').fill(ADMIN_KEY);
      await page.getByRole('button', { name: 'Sign in' }).click();
      await page.getByRole('heading', { name: 'Status' }).waitFor();
      for (const summary of await page.locator('main summary').all()) await summary.click();
      await check('status');
      await page.getByRole('link', { name: 'Lag by partition' }).click();
      await page.getByRole('heading', { name: 'Kafka consumers' }).waitFor();
      await check('consumers');
      if (size === 'phone') await page.locator('summary', { hasText: 'Menu' }).click();
      await page.getByRole('link', { name: 'Accounts', exact: true }).click();
      await check('accounts');
      await page.getByRole('link', { name: 'New account' }).click();
      await check('new-account');
      await page.goto(`${api.url}/dashboard/operator/accounts/${account.id}`);
      await check('account');
      await page.getByRole('link', { name: 'Edit' }).click();
      await check('edit');
      await page.goto(`${api.url}/dashboard/operator/accounts/${account.id}/portal-link`);
      await check('portal-link');
      await page.getByRole('button', { name: 'Create the link' }).click();
      await page.getByRole('heading', { name: 'The link' }).waitFor();
      await check('portal-link-made');
      for (const [name, path] of Object.entries({
        failing: 'failing-endpoints',
        'dead-letters': 'dead-letters',
        audit: 'audit',
        sessions: 'sessions',
        runbook: 'runbook',
        configuration: 'runbook/configuration',
      })) {
        await page.goto(`${api.url}/dashboard/operator/${path}`);
        await check(name);
      }
      violations.push(...faults);
    }
    expect(violations).toEqual([]);
  },
);

async function signIn(page: Page): Promise<void> {
  await page.goto(`${api.url}/dashboard/login`);
  await page.getByLabel('API key').fill(ADMIN_KEY);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('heading', { name: 'Status' }).waitFor();
}

test.skipIf(browser === undefined)(
  'the status moves while one looks, and the page of a revoked session says so by itself',
  async () => {
    if (browser === undefined) return;
    await using context = await browser.open(DESKTOP);
    const page = await context.newPage();
    const faults = watchFaults(page, api.url);
    await signIn(page);
    const queue = page.locator('[data-text="queue-exports"]');
    const queued = async () => Number(/(\d+) queued/.exec((await queue.textContent()) ?? '')?.[1]);
    const before = await queued();
    await api.call('POST', '/exports', { key: account.key, body: { resource: 'invoices' } });
    await waitFor('the queue is one longer', async () => (await queued()) === before + 1);
    expect(faults).toEqual([]);
    await api.call('DELETE', '/admin/operator-sessions', { key: ADMIN_KEY });
    await page.getByRole('heading', { name: 'Your session is over' }).waitFor();
    expect(await page.getByText('operator’s key has changed').count()).toBe(1);
  },
);

test.skipIf(browser === undefined)(
  'a link on another site opens the page that it names, by the keyboard alone',
  async () => {
    if (browser === undefined) return;
    await using context = await browser.open(DESKTOP);
    const page = await context.newPage();
    await signIn(page);
    const target = `${api.url}/dashboard/operator/accounts?search=Globex`;
    await page.goto(`data:text/html,<a href="${encodeURIComponent(target)}">An alert</a>`);
    const first = page.waitForResponse((response) => response.url() === target);
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    expect((await first).headers().refresh).toBe('0');
    await page.getByRole('heading', { name: 'Accounts' }).waitFor();
    expect(page.url()).toBe(target);
    expect(await page.getByLabel('Name, ID or source ID').inputValue()).toBe('Globex');
  },
);
