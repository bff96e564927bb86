import { afterAll, beforeAll, expect, test } from 'vitest';
import { SCOPES } from '../../services/api/http/caller.ts';
import { eventId } from '../../shared/domain/position.ts';
import type { TestApi } from '../support/api-server.ts';
import {
  DESKTOP,
  findFaultsOfLook,
  openBrowser,
  PHONE,
  type TestBrowser,
  takePictures,
  watchFaults,
} from '../support/browser.ts';
import { enterDashboard } from '../support/dashboard.ts';
import { type FeedFixture, openFeedFixture } from '../support/feed-fixture.ts';

const browser: TestBrowser | undefined = await openBrowser();

const LONG = 'A very long name of a customer that goes on without an end '.repeat(4);
const HOSTILE = `<img src=x onerror="alert(1)"></script>${'x'.repeat(120)}`;

let feed: FeedFixture;
let api: TestApi;
beforeAll(async () => {
  feed = await openFeedFixture();
  api = feed.api;
});
afterAll(async () => {
  await browser?.[Symbol.asyncDispose]();
  await feed?.[Symbol.asyncDispose]();
});

type Account = Awaited<ReturnType<TestApi['account']>>;

/** Fifty events of several records, the last of them `newest`. @returns its ID */
async function recordMany(account: Account, newest: Readonly<Record<string, unknown>>): Promise<string> {
  const verbs = ['updated', 'updated', 'created', 'deleted'];
  let id = '';
  for (let n = 1; n <= 50; n += 1) {
    id = eventId({ commitLsn: BigInt(n * 16), index: 0 });
    const isLast = n === 50;
    const verb = isLast ? 'updated' : verbs[n % verbs.length];
    const event = {
      id,
      type: `invoice.${verb}`,
      timestamp: new Date(Date.now() - (50 - n) * 137_000).toISOString(),
      account_id: account.id,
      position: `${(n * 16).toString(16).toUpperCase().padStart(16, '0')}-0000000000`,
      resource: 'invoices',
      key: { id: 1000 + n },
      data: {
        id: 1000 + n,
        number: `INV-2026-${n}`,
        status: 'paid',
        total: 1250.5,
        due: '2026-12-31',
        memo: null,
      },
      ...(verb === 'updated' ? { previous: { status: 'sent', total: 1200, memo: 'call again' } } : {}),
      transaction: { id: String(7_000 + n), index: 0 },
      ...(isLast ? newest : {}),
    };
    await api.pool.query(
      `insert into events (commit_lsn, idx, account_id, xid, type, resource, record_key, committed_at, payload)
       values ($1, 0, $2, 100, $3, 'invoices', $4, $5, $6)`,
      [
        `0/${(n * 16).toString(16)}`,
        account.id,
        event.type,
        `["${1000 + n}"]`,
        event.timestamp,
        JSON.stringify(event),
      ],
    );
  }
  return id;
}

/** Four endpoints, at which the event is delivered, retried, given up, and not subscribed to. */
async function deliver(account: Account, event: string): Promise<string[]> {
  const webhooks: string[] = [];
  // They start after it.
  await feed.settle(0x1000);
  for (const [path, events] of [
    ['hook', ['*']],
    [`${'long/'.repeat(40)}hook`, ['*']],
    ['warehouse', ['*']],
    ['customers', ['customer.*']],
  ] as const) {
    const body = { url: `https://receiver.example/${path}`, events };
    webhooks.push((await api.call('POST', '/webhooks', { key: account.key, body })).json.id);
  }
  const attempt = (
    webhook: string | undefined,
    status: number | null,
    outcome: string,
    excerpt: string | null,
  ) =>
    api.pool.query(
      `insert into webhook_attempts (webhook_id, event_id, attempt, started_at, duration_ms, status, outcome, excerpt)
       values ($1, $2, 1, now() - interval '40 seconds', 120, $3, $4, $5)`,
      [webhook, event, status, outcome, excerpt],
    );
  await attempt(webhooks[0], 200, 'delivered', 'ok');
  await attempt(webhooks[1], 500, 'failed', HOSTILE);
  await attempt(webhooks[2], null, 'timeout', null);
  for (const [index, state] of [
    [1, 'waiting'],
    [2, 'dead'],
  ] as const) {
    await api.pool.query(
      `insert into webhook_parked (webhook_id, commit_lsn, idx, committed_at, record_key, attempt_count, next_attempt_at, state)
       select $1, commit_lsn, idx, committed_at, 'invoices/["1050"]', 3, now() + interval '5 minutes', $3
         from events where account_id = $4 and payload like $2`,
      [webhooks[index], `%${event}%`, state, account.id],
    );
  }
  return webhooks;
}

async function withKeys(account: Account): Promise<void> {
  for (const [name, scopes] of [
    ['Warehouse', ['exports:read', 'exports:write']],
    [LONG.slice(0, 200), SCOPES],
    [HOSTILE.slice(0, 190), ['events:read']],
    [undefined, ['bulk:read', 'bulk:write']],
  ] as const) {
    const body = { scopes, ...(name === undefined ? {} : { name }) };
    const made = await api.call('POST', '/keys', { key: account.key, body });
    if (name === 'Warehouse')
      await api.call('POST', '/exports', { key: made.json.key, body: { resource: 'invoices' } });
  }
}

test.skipIf(browser === undefined)(
  'events, keys and the audit log are accessible and without a complaint, light and dark, on a desktop and a phone',
  async () => {
    if (browser === undefined) return;
    const account = await feed.reset();
    const event = await recordMany(account, {
      data: {
        id: 1050,
        number: HOSTILE,
        status: 'paid',
        total: 1250.5,
        note: LONG,
        tags: ['a', 'b'],
        memo: null,
      },
      previous: {
        number: `${HOSTILE}!`,
        status: 'sent',
        note: LONG.replace('long', 'short'),
        memo: '',
        tags: ['a'],
      },
      unchanged: ['scan'],
    });
    await deliver(account, event);
    await withKeys(account);
    const empty = await api.account(['exports:read']);
    const violations: string[] = [];
    for (const [size, options] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
      await using context = await browser.open({ ...options, colorScheme: 'light' });
      const page = await context.newPage();
      const faults = watchFaults(page, api.url);
      const check = async (name: string) => {
        violations.push(...(await findFaultsOfLook(page, `dashboard-${name}`, size)));
      };
      await enterDashboard(page, api, account, '/dashboard/events');
      await check('events');
      await page.getByRole('link', { name: 'invoices 1050' }).click();
      await page.getByRole('heading', { name: 'What changed' }).waitFor();
      for (const summary of await page.locator('.deliveries summary').all()) await summary.click();
      await page.evaluate('scrollTo(0, 0)');
      await check('event');
      await page.evaluate("document.querySelector('.event-parts').scrollIntoView()");
      await takePictures(page, 'dashboard-event-payload', size);
      await page.goto(`${api.url}/dashboard/keys`);
      await page.locator('.confirm > summary').first().click();
      await check('keys');
      await page.goto(`${api.url}/dashboard/keys/new`);
      await page.getByLabel('Name').fill('Loader');
      await check('new-key');
      await page.getByLabel('exports:read').check();
      await page.getByRole('button', { name: 'Create the key' }).click();
      await page.getByRole('heading', { name: 'The key is ready' }).waitFor();
      await check('key-made');
      await page.goto(`${api.url}/dashboard/audit`);
      await check('audit');
      violations.push(...faults.splice(0));
      await page.goto(`${api.url}/dashboard/events?key=1`);
      await page.getByRole('alert').waitFor();
      await check('events-refused');
      await page.goto(`${api.url}/dashboard/audit?action=bulk.run`);
      await check('audit-none');
      violations.push(...faults.filter((fault) => !/422/.test(fault)));
      await using other = await browser.open({ ...options, colorScheme: 'light' });
      const first = await other.newPage();
      await enterDashboard(first, api, empty, '/dashboard/events');
      await first.getByText('No events yet.').waitFor();
      await takePictures(first, 'dashboard-events-empty', size);
    }
    expect(violations).toEqual([]);
  },
);

test.skipIf(browser === undefined)(
  'without JavaScript, and by the keyboard alone: find an event, deliver it again, make a key, revoke it, and see who did it',
  async () => {
    if (browser === undefined) return;
    const account = await feed.reset();
    const event = await recordMany(account, {});
    const [webhook] = await deliver(account, event);
    await using context = await browser.open({ ...PHONE, javaScriptEnabled: false });
    const page = await context.newPage();
    await page.goto(`${api.url}/dashboard/events`);
    await page.getByLabel('API key').focus();
    await page.keyboard.type(account.key);
    await page.keyboard.press('Enter');
    const faults = watchFaults(page, api.url);
    await page.getByLabel('Type', { exact: true }).selectOption('invoice.*');
    await page.getByLabel('Record key').focus();
    await page.keyboard.type('1050');
    await page.keyboard.press('Enter');
    await page.getByRole('link', { name: 'invoices 1050' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Deliver again to https://receiver.example/hook' }).focus();
    await page.keyboard.press('Enter');
    await page.locator('.deliveries .badge', { hasText: 'Waiting' }).waitFor();
    const { rows } = await api.pool.query('select from webhook_parked where webhook_id = $1', [webhook]);
    expect(rows).toHaveLength(1);

    await page.locator('summary', { hasText: 'Menu' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('link', { name: 'API keys' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('link', { name: 'New key' }).focus();
    await page.keyboard.press('Enter');
    await page.getByLabel('Name').focus();
    await page.keyboard.type('Loader');
    await page.getByLabel('exports:read').focus();
    await page.keyboard.press('Space');
    await page.getByRole('button', { name: 'Create the key' }).focus();
    await page.keyboard.press('Enter');
    const key = (await page.locator('.secret code').textContent()) ?? '';
    expect((await api.call('GET', '/exports', { key })).status).toBe(200);
    await page.getByRole('link', { name: 'To the keys' }).focus();
    await page.keyboard.press('Enter');
    const own = page.locator('.keys > li', { hasText: 'Loader' });
    await own.locator('summary').focus();
    await page.keyboard.press('Enter');
    await own.getByRole('button', { name: 'Yes, do it' }).focus();
    await page.keyboard.press('Enter');
    await own.waitFor({ state: 'detached' });
    expect((await api.call('GET', '/exports', { key })).status).toBe(401);

    await page.locator('summary', { hasText: 'Menu' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('link', { name: 'Audit log' }).focus();
    await page.keyboard.press('Enter');
    await page.locator('.audit td', { hasText: 'revoked the API key' }).waitFor();
    expect(faults).toEqual([]);
  },
);

test.skipIf(browser === undefined)(
  'a delivery moves while somebody looks, and the payload and a key are copied',
  async () => {
    if (browser === undefined) return;
    const account = await feed.reset();
    const event = await recordMany(account, {});
    const [, webhook] = await deliver(account, event);
    await using context = await browser.open({
      ...DESKTOP,
      permissions: ['clipboard-read', 'clipboard-write'],
    });
    const page = await context.newPage();
    await enterDashboard(page, api, account, `/dashboard/events/${event}`);
    const faults = watchFaults(page, api.url);
    await page.locator('.deliveries .badge', { hasText: 'Retrying' }).waitFor();
    await page.locator('[data-copy] button').click();
    await page.getByText('Copied').waitFor();
    const copied = JSON.parse(String(await page.evaluate('navigator.clipboard.readText()')));
    expect(copied).toMatchObject({ id: event, data: { total: 1250.5 } });

    await api.pool.query(`delete from webhook_parked where webhook_id = $1`, [webhook]);
    await api.pool.query(
      `insert into webhook_attempts (webhook_id, event_id, attempt, started_at, duration_ms, status, outcome)
       values ($1, $2, 2, now(), 80, 200, 'delivered')`,
      [webhook, event],
    );
    await page.locator('.deliveries .badge', { hasText: 'Retrying' }).waitFor({ state: 'detached' });
    expect(await page.locator('.deliveries .badge', { hasText: 'Delivered' }).count()).toBe(2);
    expect(faults).toEqual([]);
  },
);
