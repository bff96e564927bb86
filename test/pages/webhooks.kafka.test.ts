import { afterAll, beforeAll, expect, test } from 'vitest';
import { recordAttempts } from '../../services/dispatcher/store/record-attempts.ts';
import { DISABLED_REASONS } from '../../shared/domain/disabled-reasons.ts';
import { eventId } from '../../shared/domain/position.ts';
import { openApiOver } from '../support/api-over-dispatcher.ts';
import type { TestApi } from '../support/api-server.ts';
import {
  DESKTOP,
  findAxeViolations,
  findFaultsOfLook,
  openBrowser,
  PHONE,
  type TestBrowser,
  takePictures,
  watchFaults,
} from '../support/browser.ts';
import { enterDashboard } from '../support/dashboard.ts';
import { fillStats } from '../support/dashboard-world.ts';
import { type DispatcherBed, openDispatcherBed } from '../support/dispatcher.ts';
import { waitFor } from '../support/wait-for.ts';
import { openWebhookReceiver, type WebhookReceiver } from '../support/webhook-receiver.ts';

const browser: TestBrowser | undefined = await openBrowser();

const LONG = `A very long name of an endpoint, with <b>markup</b> & quotes " ' ${'x'.repeat(180)}`;

let bed: DispatcherBed;
let api: TestApi;
let receiver: WebhookReceiver;
const cleanup = new AsyncDisposableStack();

beforeAll(async () => {
  if (browser === undefined) return;
  cleanup.use(browser);
  bed = cleanup.use(await openDispatcherBed());
  api = cleanup.use(await openApiOver(bed));
  receiver = cleanup.use(await openWebhookReceiver());
  cleanup.use(await bed.start());
});
afterAll(() => cleanup.disposeAsync());

type Account = Awaited<ReturnType<TestApi['account']>>;

async function subscribe({ key }: Account, body: Record<string, unknown> = {}): Promise<string> {
  const made = await api.call('POST', '/webhooks', { key, body: { url: receiver.url, ...body } });
  expect(made.status, made.text).toBe(201);
  return made.json.id;
}

let lastLsn = 5_000;
async function addEvents(account: Account, count: number): Promise<string[]> {
  const lsns = Array.from({ length: count }, (_, n) => lastLsn + 1 + n);
  lastLsn += count;
  await bed.addEvents(
    lsns.map((lsn) => ({ accountId: account.id, lsn, record: lsn, type: 'invoice.updated' })),
  );
  return lsns.map((lsn) => eventId({ commitLsn: BigInt(lsn), index: 0 }));
}

const KINDS = [
  { status: undefined, outcome: 'tls', excerpt: 'no secure connection could be made' },
  { status: undefined, outcome: 'timeout', excerpt: 'the response was not complete in time' },
  { status: 429, outcome: 'failed', excerpt: 'slow down' },
  { status: 500, outcome: 'failed', excerpt: `<h1>Internal</h1> ${'stack '.repeat(60)}` },
  { status: 200, outcome: 'delivered', excerpt: 'ok' },
];

function attemptOf(id: string, event: string, kind: number, startedAtMs: number) {
  const { status, outcome, excerpt } = KINDS[kind] ?? { status: 204, outcome: 'delivered', excerpt: '' };
  const headers = { 'content-type': 'text/html', server: 'nginx', 'x-long': 'y'.repeat(180) };
  return {
    endpointId: id,
    eventId: event,
    batch: undefined,
    attempt: 1,
    startedAtMs,
    durationMs: 20 + (startedAtMs % 400),
    committedAtMs: undefined,
    status,
    outcome,
    excerpt,
    request: { signature: 'v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=', ownHeaders: ['X-Team'] },
    response: status === undefined ? undefined : { headers, omittedCount: 2, isBodyCut: status === 500 },
  };
}

/** Attempts of each kind, the newest first to be seen. */
async function fillAttempts(id: string, events: readonly string[]): Promise<void> {
  const now = Date.now();
  await recordAttempts(
    bed.pool,
    events.map((event, n) => attemptOf(id, event, n % 7, now - n * 47_000)),
  );
}

/** An account with an endpoint in each state, events, attempts and dead letters. */
async function arrange() {
  const account = await api.account();
  receiver.answer = () => 204;
  const healthy = await subscribe(account, { description: 'Warehouse', headers: { 'X-Team': 'billing' } });
  const events = await addEvents(account, 60);
  await waitFor('all of them', async () => {
    const { json } = await api.call('GET', `/webhooks/${healthy}/stats`, { key: account.key });
    return json.events.delivered === 60;
  });
  await fillStats(api, healthy);
  await fillAttempts(healthy, events);
  await bed.pool.query(
    `insert into webhook_parked (webhook_id, commit_lsn, idx, committed_at, record_key, attempt_count, state, last_error)
     select $1, commit_lsn, idx, committed_at, 'invoices/["' || commit_lsn || '"]', 10, 'dead', $3
       from events where account_id = $2 order by commit_lsn limit 24`,
    [
      healthy,
      account.id,
      JSON.stringify({
        at: new Date(Date.now() - 7_200_000).toISOString(),
        class: 'status',
        status: 413,
        excerpt: `<html>${'Request Entity Too Large '.repeat(30)}`,
      }),
    ],
  );
  const failing = await subscribe(account, { url: 'https://receiver.example/hooks/orders' });
  const gone = await subscribe(account, { url: 'https://old.example/hooks', description: 'The old CRM' });
  const paused = await subscribe(account, {
    description: LONG,
    url: `https://receiver.example/${'path/'.repeat(90)}`,
    events: ['invoice.*', 'export.completed', 'bulk.completed', 'bulk.failed'],
    batch: { max_events: 500, max_wait_ms: 200 },
    rate_limit: 20,
    order: 'strict',
  });
  await api.call('POST', `/webhooks/${paused}/pause`, { key: account.key });
  await api.call('POST', `/webhooks/${paused}/rotate-secret`, { key: account.key });
  await fillAttempts(failing, events.slice(0, 4));
  await bed.pool.query(`update webhooks set status = 'disabled', status_reason = $2 where id = $1`, [
    gone,
    DISABLED_REASONS.gone,
  ]);
  await waitFor('the failing one to fail', async () => {
    const { rowCount } = await bed.pool.query(
      `update webhooks set failing_since = now() - interval '3 hours', failures_in_row = 12,
         rest_until = now() + interval '10 minutes', lease_owner = null, status = 'active' where id = $1`,
      [failing],
    );
    return rowCount === 1;
  });
  return { account, healthy, failing, gone, paused };
}

test.skipIf(browser === undefined)(
  'every page of webhooks is accessible and without a complaint, light and dark, on a desktop and a phone',
  async () => {
    if (browser === undefined) return;
    const { account, healthy, failing, gone, paused } = await arrange();
    const empty = await api.account();
    const { json } = await api.call('GET', `/webhooks/${healthy}/attempts?outcome=failed&limit=4`, {
      key: account.key,
    });
    const violations: string[] = [];
    for (const [size, options] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
      await using context = await browser.open({ ...options, colorScheme: 'light' });
      const page = await context.newPage();
      const faults = watchFaults(page, api.url);
      const check = async (name: string) => {
        violations.push(...(await findFaultsOfLook(page, `dashboard-webhooks-${name}`, size)));
        const bytes = (await page.content()).length;
        if (bytes > 100_000) violations.push(`${name} has ${bytes} characters`);
      };
      const visit = async (path: string, name: string) => {
        await page.goto(`${api.url}/dashboard/webhooks${path}`);
        await check(name);
      };
      await enterDashboard(page, api, account, '/dashboard/webhooks');
      await check('list');
      await visit(`/${healthy}`, 'healthy');
      for (const summary of await page.locator('main summary').all()) await summary.click();
      await check('healthy-open');
      await visit(`/${healthy}?range=hour`, 'hour');
      await visit(`/${failing}`, 'failing');
      await visit(`/${gone}`, 'disabled');
      await visit(`/${paused}`, 'paused');
      await visit(`/${healthy}/attempts`, 'attempts');
      for (const [n, attempt] of json.data.entries())
        await visit(`/${healthy}/attempts/${attempt.id}`, `attempt-${n}`);
      await visit(`/${healthy}/dead-letters`, 'dead-letters');
      await visit(`/${paused}/edit`, 'edit');
      await page.locator('main summary').last().click();
      await check('edit-open');
      await visit('/new', 'new');
      expect(faults).toEqual([]);
      await page.getByLabel('URL').fill('http://10.0.0.1/hook');
      await page.getByLabel('Only these').check();
      await page.getByRole('button', { name: 'Create the endpoint' }).click();
      await page.getByRole('alert').waitFor();
      await check('new-refused');
      await page.goto(`${api.url}/dashboard/webhooks/new`);
      await page.getByLabel('URL').fill(receiver.url);
      await page.getByRole('button', { name: 'Create the endpoint' }).click();
      await page.getByText('whsec_').waitFor();
      await check('secret');
      violations.push(...faults.filter((fault) => !fault.includes('422')));
      await using other = await browser.open({ ...options, colorScheme: 'light' });
      const blank = await other.newPage();
      await enterDashboard(blank, api, empty, '/dashboard/webhooks', { locale: 'de-DE' });
      violations.push(...(await findAxeViolations(blank)));
      await takePictures(blank, 'dashboard-webhooks-empty', size);
    }
    expect(violations).toEqual([]);
  },
);

test.skipIf(browser === undefined)(
  'an endpoint moves while one looks: deliveries, how far it is behind, and its last failure, without loading the page again',
  async () => {
    if (browser === undefined) return;
    const account = await api.account();
    receiver.answer = () => 204;
    const id = await subscribe(account);
    await addEvents(account, 3);
    await using context = await browser.open(DESKTOP);
    const page = await context.newPage();
    const faults = watchFaults(page, api.url);
    const delivered = (count: string) =>
      page.locator('[data-text="delivered"]', { hasText: count }).waitFor();
    await waitFor('the first deliveries', async () => {
      const { json } = await api.call('GET', `/webhooks/${id}/stats`, { key: account.key });
      return json.events.delivered === 3;
    });
    await enterDashboard(page, api, account, `/dashboard/webhooks/${id}`);
    await delivered('3');
    const column = page.locator('rect[data-series="delivered"]').last();
    const low = Number(await column.getAttribute('height'));
    await page.evaluate('window.sameDocument = true');
    await addEvents(account, 2);
    await delivered('5');
    expect(Number(await column.getAttribute('height'))).not.toBe(low);
    expect(await page.evaluate('window.sameDocument')).toBe(true);

    // It begins to fail, which is another page.
    receiver.answer = () => 500;
    const [first] = await addEvents(account, 1);
    await page.getByRole('heading', { name: 'Deliveries are failing' }).waitFor();
    await page.locator('[data-text="failure-event-0"]', { hasText: first ?? '' }).waitFor();
    expect(await page.locator('[data-text="behind"]').textContent()).toBe('1 event');

    // The newest failure takes the place of the one before. Nothing else happens to an endpoint that is paused.
    await api.call('POST', `/webhooks/${id}/pause`, { key: account.key });
    const fail = (event: string) => recordAttempts(bed.pool, [attemptOf(id, event, 3, Date.now())]);
    for (const n of [1, 2, 3, 4, 5]) await fail(`evt_${n}`);
    await page.locator('[data-text="failure-event-0"]', { hasText: 'evt_5' }).waitFor();
    await page.getByText('The endpoint is paused. Events').waitFor();
    await page.evaluate('window.sameDocument = true');
    const last = await addEvents(account, 1);
    await fail(last[0] ?? '');
    await page.locator('[data-text="failure-event-0"]', { hasText: last[0] ?? '' }).waitFor();
    expect(await page.evaluate('window.sameDocument')).toBe(true);
    await page.locator('[data-link="failure-0"]').click();
    await page.getByRole('heading', { name: 'Request', exact: true }).waitFor();
    expect(await page.locator('.events').textContent()).toContain(last[0]);
    expect(faults).toEqual([]);
  },
);

test.skipIf(browser === undefined)(
  'without JavaScript, and by the keyboard alone, an endpoint is made, tested, filtered, rotated and deleted',
  async () => {
    if (browser === undefined) return;
    const account = await api.account();
    receiver.answer = () => 404;
    await using context = await browser.open({ ...PHONE, javaScriptEnabled: false });
    const page = await context.newPage();
    const faults = watchFaults(page, api.url);
    /** By the tabulator, as far as it takes. */
    const reach = async (role: 'link' | 'button' | 'radio' | 'textbox' | 'checkbox', name: string) => {
      const target = page.getByRole(role, { name, exact: true }).first();
      await target.waitFor();
      for (let steps = 0; steps < 80; steps += 1) {
        await page.keyboard.press('Tab');
        if (await target.evaluate('(element) => element === document.activeElement').catch(() => false))
          return;
        if ((await target.evaluate((element) => element.matches(':focus'))) === true) return;
      }
      throw new Error(`the keyboard does not reach ${role} ${name}`);
    };
    const press = async (role: 'link' | 'button', name: string) => {
      await reach(role, name);
      await page.keyboard.press('Enter');
    };
    /** The button of a part that is closed at first. */
    const open = async (name: string) => {
      const summary = page.locator('summary', { hasText: name }).first();
      for (let steps = 0; steps < 80; steps += 1) {
        await page.keyboard.press('Tab');
        if (await summary.evaluate((element) => element.matches(':focus'))) break;
      }
      await page.keyboard.press('Enter');
    };
    await page.goto(`${api.url}/dashboard/webhooks/new`);
    await reach('textbox', 'API key');
    await page.keyboard.type(account.key);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'New endpoint' }).waitFor();
    await reach('textbox', 'URL');
    await page.keyboard.type('https://192.168.0.1/hook');
    await press('button', 'Create the endpoint');
    await page.getByText('must not point to this address').waitFor();
    await reach('textbox', 'URL');
    expect(await page.getByLabel('URL').inputValue()).toBe('https://192.168.0.1/hook');
    await page.keyboard.press('ControlOrMeta+a');
    await page.keyboard.type(receiver.url);
    await reach('radio', 'All events, including those of future resources');
    await page.keyboard.press('ArrowDown');
    await reach('checkbox', 'invoice.updated');
    await page.keyboard.press('Space');
    await press('button', 'Create the endpoint');
    await page.getByText('whsec_').waitFor();
    await press('link', 'To the endpoint');
    await page.getByText('invoice.updated').waitFor();
    await press('button', 'Send a test');
    await page.getByRole('status').waitFor();
    await press('link', 'All attempts');
    await page.getByText('Status 404 · Not found').waitFor();
    await page.getByLabel('Result').selectOption('delivered');
    await press('button', 'Search');
    await page.getByText('No attempt matches.').waitFor();
    await page.goBack();
    await page.goBack();
    await open('Rotate the secret');
    await press('button', 'Yes, do it');
    await page.getByText('each request is signed with the old secret too').waitFor();
    await press('link', 'To the endpoint');
    await open('Delete');
    await press('button', 'Yes, do it');
    await page.getByText('The endpoint was deleted.').waitFor();
    expect(faults.filter((fault) => !/ (422|401): | console: /.test(fault))).toEqual([]);
  },
);
