import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { SCOPES } from '../../../services/api/http/caller.ts';
import { ADMIN_KEY, openTestApi, type TestApi } from '../../support/api-server.ts';
import { createDashboardVisitor, type DashboardVisitor } from '../../support/dashboard.ts';
import { type EventStream, openEventStream } from '../../support/event-stream.ts';
import { waitFor } from '../../support/wait-for.ts';

const LIMITS = {
  perSession: 2,
  perAccount: 40,
  perProcess: 60,
  pagesPerAccount: 3,
  checkEveryMs: 100,
  beatMs: 300,
};

let api: TestApi;
let visitor: DashboardVisitor;
beforeAll(async () => {
  api = await openTestApi({ dashboard: { liveLimits: LIMITS } });
  visitor = createDashboardVisitor(api);
});
afterAll(() => api?.[Symbol.asyncDispose]());

type Account = Awaited<ReturnType<TestApi['account']>>;

async function newExport({ key }: Account): Promise<string> {
  return (await api.call('POST', '/exports', { key, body: { resource: 'invoices' } })).json.id;
}

/** What an extractor and a writer would have done so far. */
async function advance(id: string, written: number): Promise<void> {
  await api.pool.query(
    `/* arranged */ update exports set status = 'running', phase = 'extracting', started_at = coalesce(started_at, now()),
       rows_estimated = 1000, rows_extracted = $2, rows_written = $2 where id = $1`,
    [id, written],
  );
}

const sessionOf = (account: Account, request = {}) => visitor.open(account, { scopes: SCOPES, ...request });

async function watch(path: string, cookie: string, headers = {}): Promise<EventStream> {
  const stream = await openEventStream(`${api.url}${path}`, cookie, headers);
  onTestFinished(() => stream[Symbol.dispose]());
  return stream;
}

/** The first event with such texts. */
async function untilTexts(stream: EventStream, texts: Readonly<Record<string, string>>) {
  for (;;) {
    const { event, data } = await stream.next();
    if (event === 'state' && Object.entries(texts).every(([name, text]) => data.texts[name] === text))
      return data;
  }
}

test('a stream begins with the state of the page, and then has what has changed', async () => {
  const account = await api.account();
  const id = await newExport(account);
  await advance(id, 100);
  const cookie = await sessionOf(account);
  const page = await api.call('GET', `/dashboard/exports/${id}`, { headers: { cookie } });
  const stream = await watch(`/dashboard/exports/${id}/live`, cookie);
  expect(stream.status).toBe(200);
  expect(Object.fromEntries(stream.headers)).toMatchObject({
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  });
  const first = await stream.next();
  expect(first).toMatchObject({
    event: 'state',
    data: { texts: { percent: '10%' }, bars: { progress: 0.1 } },
  });
  expect(page.text).toContain(`data-shape="${first.data.shape}"`);
  // So has the page of somebody else, whose forms have another token.
  const another = await api.call('GET', `/dashboard/exports/${id}`, {
    headers: { cookie: await sessionOf(account) },
  });
  expect(another.text).toContain(`data-shape="${first.data.shape}"`);
  await advance(id, 500);
  const change = await untilTexts(stream, { percent: '50%' });
  expect(change).toMatchObject({ shape: first.data.shape, bars: { progress: 0.5 } });
  expect(Object.keys(change.texts)).not.toContain('chunks-planned');
  const { json } = await api.call('GET', `/dashboard/exports/${id}/live`, { headers: { cookie } });
  expect(json).toMatchObject({ shape: first.data.shape, texts: { percent: '50%' } });
});

test('a page that has the last state gets it no second time', async () => {
  const account = await api.account();
  const cookie = await sessionOf(account);
  const { id = '' } = await (await watch('/dashboard/exports/live', cookie)).next();
  const again = await watch('/dashboard/exports/live', cookie, { 'last-event-id': id });
  expect(await again.next()).toMatchObject({ event: 'beat' });
});

test('a stream on which nothing happens shows that it lives', async () => {
  const stream = await watch('/dashboard/exports/live', await sessionOf(await api.account()));
  expect((await stream.next()).event).toBe('state');
  expect((await stream.next()).event).toBe('beat');
});

/** Statements on the control store until the export has moved three times. */
async function statementsWhile(streams: readonly EventStream[], id: string): Promise<number> {
  const [work, checks] = [vi.spyOn(api.pool, 'query'), vi.spyOn(api.doorPool, 'query')];
  const transactions = vi.spyOn(api.pool, 'connect');
  try {
    for (const written of [200, 300, 400]) {
      await advance(id, written);
      await Promise.all(streams.map((stream) => untilTexts(stream, { percent: `${written / 10}%` })));
    }
    // Those of `advance` are not of the pages.
    return work.mock.calls.length - 3 + transactions.mock.calls.length;
  } finally {
    for (const spy of [work, checks, transactions]) spy.mockRestore();
  }
}

test('thirty pages cost the control store what one does', async () => {
  const counts = [];
  for (const viewers of [1, 30]) {
    const account = await api.account();
    const id = await newExport(account);
    await advance(id, 100);
    const streams = [];
    for (let viewer = 0; viewer < viewers; viewer += 1) {
      const stream = await watch(`/dashboard/exports/${id}/live`, await sessionOf(account));
      await untilTexts(stream, { percent: '10%' });
      streams.push(stream);
    }
    counts.push(await statementsWhile(streams, id));
    for (const stream of streams) stream[Symbol.dispose]();
  }
  const [one = 0, thirty = 0] = counts;
  expect(one).toBeGreaterThanOrEqual(3);
  // Some readings more or less, as the intervals fall. Pages that each read for themselves would cost thirty times as much.
  expect(thirty).toBeLessThan(10 * one);
});

test('a session that is revoked loses its streams, and no other does', async () => {
  const account = await api.account();
  const [mine, others] = [await sessionOf(account), await sessionOf(account)];
  const [ended, left] = [await watch('/dashboard/live', mine), await watch('/dashboard/live', others)];
  const [session] = (
    await api.call('GET', `/admin/accounts/${account.id}/portal-sessions`, { key: ADMIN_KEY })
  ).json.data.slice(-1);
  await api.call('DELETE', `/admin/accounts/${account.id}/portal-sessions/${session.id}`, { key: ADMIN_KEY });
  const events = await ended.rest();
  expect(events.at(-1)).toMatchObject({ event: 'over' });
  expect((await left.next()).event).toBe('state');
  expect((await left.next()).event).not.toBe('over');
});

test('an object that is not there any more ends its streams', async () => {
  const account = await api.account();
  const id = await newExport(account);
  const stream = await watch(`/dashboard/exports/${id}/live`, await sessionOf(account));
  await stream.next();
  await api.pool.query('/* arranged */ delete from exports where id = $1', [id]);
  expect((await stream.rest()).at(-1)).toMatchObject({ event: 'over' });
});

test('beyond its streams a session polls, and so does an account beyond its pages', async () => {
  const account = await api.account();
  const cookie = await sessionOf(account);
  const page = '/dashboard/exports/live';
  const [first] = [await watch(page, cookie), await watch(page, cookie)];
  expect((await watch(page, cookie)).status).toBe(204);
  expect((await api.call('GET', page, { headers: { cookie } })).json.shape).toMatch(/^[\w-]{22}$/);
  first?.[Symbol.dispose]();
  await waitFor('a place', async () => (await watch(page, cookie)).status === 200);

  const other = await sessionOf(account);
  expect((await watch(`${page}?status=failed`, other)).status).toBe(200);
  expect((await watch(`${page}?status=running`, other)).status).toBe(200);
  expect((await watch(`${page}?status=expired`, await sessionOf(account))).status).toBe(204);
  const polled = await api.call('GET', `${page}?status=expired`, { headers: { cookie } });
  expect(polled.status).toBe(200);
});

test('a stream that is refused takes no place of a page', async () => {
  const account = await api.account();
  const page = '/dashboard/exports/live';
  const [greedy, other] = [await sessionOf(account), await sessionOf(account)];
  for (let count = 0; count < LIMITS.perSession; count += 1) await watch(page, greedy);
  for (const status of ['failed', 'running', 'expired']) {
    expect((await watch(`${page}?status=${status}`, greedy)).status).toBe(204);
  }
  for (const status of ['completed', 'cancelled']) {
    expect((await watch(`${page}?status=${status}`, other)).status).toBe(200);
  }
});

test('another account, other rights and another language are other pages', async () => {
  const [mine, others] = [await api.account(), await api.account()];
  await newExport(others);
  const stateOf = async (cookie: string) => untilTexts(await watch('/dashboard/live', cookie), {});
  const seen = await Promise.all([
    stateOf(await sessionOf(mine)),
    stateOf(await sessionOf(mine)),
    stateOf(await sessionOf(others)),
    stateOf(await sessionOf(mine, { scopes: ['exports:read'] })),
    stateOf(await sessionOf(mine, { locale: 'de-DE' })),
  ]);
  expect(seen[0]).toEqual(seen[1]);
  expect(new Set(seen.map(({ shape }) => shape)).size).toBe(4);
});

test('the process stops without waiting for those who look', async () => {
  const ending = await openTestApi();
  const account = await ending.account();
  const cookie = await createDashboardVisitor(ending).open(account);
  const stream = await openEventStream(`${ending.url}/dashboard/live`, cookie);
  await stream.next();
  const ended = stream.rest();
  await ending[Symbol.asyncDispose]();
  await ended;
});

const HTML = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };

test('what no page can tell is a page for a browser, in its language, and a document for a program', async () => {
  const cookie = await sessionOf(await api.account());
  const german = { ...HTML, 'accept-language': 'de' };
  const unknown = await api.call('GET', '/dashboard/nothing', { headers: german });
  expect([unknown.status, unknown.headers.get('content-type')]).toEqual([404, 'text/html; charset=utf-8']);
  expect(unknown.text).toContain('<html lang="de"');
  expect(unknown.text).toContain('Unter dieser Adresse ist nichts zu finden.');
  expect(unknown.text).toContain(`<code>${unknown.headers.get('x-request-id')}</code>`);
  expect(unknown.headers.get('content-security-policy')).toContain("default-src 'none'");

  const method = await api.call('POST', '/dashboard/exports', { headers: HTML });
  expect([method.status, method.headers.get('allow')]).toEqual([405, 'HEAD, GET']);
  expect(method.text).toContain('This address does not accept such a request.');

  const long = await api.call('GET', `/dashboard?x=${'y'.repeat(12_000)}`, { headers: HTML });
  expect([long.status, long.headers.get('content-type')]).toEqual([400, 'text/html; charset=utf-8']);
  const huge = await api.call('GET', '/dashboard', { headers: { ...german, cookie: 'x'.repeat(40_000) } });
  expect([huge.status, huge.headers.get('content-type')]).toEqual([431, 'text/html; charset=utf-8']);
  expect(huge.text).toContain('Löschen Sie ihre Cookies');
  expect(huge.text).toContain(`<code>${huge.headers.get('x-request-id')}</code>`);

  const large = await visitor.send('/dashboard/exports/new', { x: 'y'.repeat(70_000) }, cookie);
  expect([large.status, large.headers.get('content-type')]).toEqual([413, 'text/html; charset=utf-8']);
  expect(large.text).toContain('The form is larger than this page accepts.');
  expect(large.text).toContain(`<code>${large.headers.get('x-request-id')}</code>`);
  const entry = await api.call('POST', '/dashboard/login', {
    body: new URLSearchParams({ key: 'y'.repeat(70_000) }).toString(),
    headers: { ...german, origin: api.url, 'content-type': 'application/x-www-form-urlencoded' },
  });
  expect([entry.status, entry.text]).toEqual([413, expect.stringContaining('Das Formular ist größer')]);

  for (const [path, headers] of [
    ['/dashboard/nothing', { accept: 'application/json' }],
    ['/nothing', HTML],
  ] as const) {
    const reply = await api.call('GET', path, { headers });
    expect(reply.json, path).toMatchObject({ request_id: reply.headers.get('x-request-id') });
  }
});

test('a fault of ours is a page in the language and theme of the session, and its cause is in the log alone', async () => {
  const cookie = await sessionOf(await api.account());
  const german = await sessionOf(await api.account(), { locale: 'de-DE', theme: 'dark' });
  await api.pool.query('alter table exports rename to exports_away');
  try {
    const reply = await api.call('GET', '/dashboard/exports', { headers: { ...HTML, cookie } });
    expect([reply.status, reply.headers.get('content-type')]).toEqual([500, 'text/html; charset=utf-8']);
    expect(reply.text).toContain('The fault is on our side.');
    expect(reply.text).not.toContain('relation');
    expect(reply.text).toContain('action="/dashboard/logout"');
    const other = await api.call('GET', '/dashboard/exports', { headers: { ...HTML, cookie: german } });
    expect([other.status, other.headers.get('cache-control')]).toEqual([500, 'no-store']);
    expect(other.text).toContain('<html lang="de" data-theme="dark"');
    expect(other.text).toContain('Der Fehler liegt bei uns.');
  } finally {
    await api.pool.query('alter table exports_away rename to exports');
  }
});
