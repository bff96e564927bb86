import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { operatorPages } from '../../../services/api/dashboard/operator/operator-routes.ts';
import { dashboardPages } from '../../../services/api/dashboard/routes.ts';
import { SCOPES } from '../../../services/api/http/caller.ts';
import { createPublicUrls } from '../../../services/api/http/public-urls.ts';
import { listProcesses, reportProcess } from '../../../shared/control/processes.ts';
import { Secret } from '../../../shared/runtime/env.ts';
import { createLog, silentLog } from '../../../shared/runtime/log.ts';
import { announceProcess } from '../../../shared/service/announce-process.ts';
import { ADMIN_KEY, type ApiReply, openTestApi, type TestApi } from '../../support/api-server.ts';
import { openProductPool } from '../../support/product-pool.ts';
import { waitFor } from '../../support/wait-for.ts';

let api: TestApi;
let logged = '';

beforeAll(async () => {
  api = await openTestApi({
    dashboard: { frameAncestors: ['https://product.example'] },
    log: createLog('info', {}, (line) => {
      logged += line;
    }),
  });
});
afterAll(() => api?.[Symbol.asyncDispose]());

/** Sends a form as a browser does on a page of this origin. */
function send(
  path: string,
  fields: Readonly<Record<string, string>>,
  { cookie = '', origin = api.url, ...headers }: Record<string, string> = {},
): Promise<ApiReply> {
  return api.call('POST', path, {
    body: new URLSearchParams(fields).toString(),
    headers: { 'content-type': 'application/x-www-form-urlencoded', origin, cookie, ...headers },
  });
}

const show = (path: string, cookie: string, headers: Record<string, string> = {}) =>
  api.call('GET', path, { headers: { cookie, ...headers } });

const cookieOf = ({ headers }: ApiReply) => (headers.get('set-cookie') ?? '').split(';')[0] ?? '';

const csrfOf = (text: string) => /name="csrf" value="([^"]+)"/.exec(text)?.[1] ?? '';

const operator = (method: string, path: string, body?: unknown) =>
  api.call(method, path, { key: ADMIN_KEY, ...(body === undefined ? {} : { body }) });

async function signIn(): Promise<string> {
  const reply = await send('/dashboard/login', { key: ADMIN_KEY });
  expect(reply.status).toBe(303);
  return cookieOf(reply);
}

async function openPortal(account: { id: string }): Promise<string> {
  const { json } = await operator('POST', `/admin/accounts/${account.id}/portal-links`, { scopes: SCOPES });
  return cookieOf(await send('/dashboard/enter', { code: new URL(json.url).hash.replace('#code=', '') }));
}

test('the operator’s key opens a session of its own kind, which is in no log and no table', async () => {
  const reply = await send('/dashboard/login', { key: ADMIN_KEY, next: '/dashboard/operator' });
  expect([reply.status, reply.headers.get('location')]).toEqual([303, '/dashboard/operator']);
  expect(reply.headers.get('set-cookie')).toMatch(
    /^tandem_operator=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Max-Age=14400$/,
  );
  const page = await show('/dashboard/operator', cookieOf(reply));
  expect(page.status).toBe(200);
  expect(page.headers.get('content-security-policy')).toContain("frame-ancestors 'none'");
  expect(page.headers.get('cache-control')).toBe('no-store');
  expect(logged).toContain('"caller":"ops_');
  const token = cookieOf(reply).split('=')[1] ?? '?';
  const { rows } = await api.pool.query('select to_jsonb(s)::text as text from operator_sessions s');
  expect(rows.some(({ text }) => text.includes(token))).toBe(false);
  for (const text of [logged, page.text]) {
    expect(text).not.toContain(token);
    expect(text).not.toContain(ADMIN_KEY);
  }
  const audit = await operator('GET', '/admin/audit?action=operator_session.opened');
  expect(audit.json.data[0]).toMatchObject({ account_id: null, actor: 'operator' });
});

test('over https the cookie is of this host alone, and one without the prefix opens nothing', async () => {
  await using secure = await openTestApi({ urls: createPublicUrls(() => 'https://tandem.example') });
  const reply = await secure.call('POST', '/dashboard/login', {
    body: new URLSearchParams({ key: ADMIN_KEY }).toString(),
    headers: { origin: 'https://tandem.example', 'content-type': 'application/x-www-form-urlencoded' },
  });
  expect(reply.headers.get('set-cookie')).toMatch(
    /^__Host-tandem_operator=[\w-]{43}; Path=\/; HttpOnly; Secure; SameSite=Strict; Max-Age=14400$/,
  );
  const statusWith = async (cookie: string) =>
    (await secure.call('GET', '/dashboard/operator', { headers: { cookie } })).status;
  expect(await statusWith(cookieOf(reply))).toBe(200);
  expect(await statusWith(cookieOf(reply).replace('__Host-', ''))).toBe(303);
});

test('nobody signs in as the operator within a frame, nor by a form of another site', async () => {
  const framed = await send('/dashboard/login', { key: ADMIN_KEY }, { 'sec-fetch-dest': 'iframe' });
  expect([framed.status, framed.headers.get('set-cookie')]).toEqual([403, null]);
  expect(framed.text).toContain('open in no frame');
  const foreign = await send('/dashboard/login', { key: ADMIN_KEY }, { origin: 'https://evil.example' });
  expect([foreign.status, foreign.headers.get('set-cookie')]).toEqual([403, null]);
});

test.each(['https://evil.example', '/dashboard', '/dashboard/operator/../exports', '//x'])(
  'signing in leads to the operator’s pages alone, not to %s',
  async (next) => {
    const reply = await send('/dashboard/login', { key: ADMIN_KEY, next });
    expect(reply.headers.get('location')).toBe('/dashboard/operator');
  },
);

test('the language that is chosen in the foot holds as long as the session', async () => {
  const cookie = await signIn();
  const csrf = csrfOf((await show('/dashboard/operator', cookie)).text);
  const choice = { csrf, language: 'de', next: '/dashboard/operator' };
  const reply = await send('/dashboard/operator/language', choice, { cookie });
  expect(reply.headers.get('location')).toBe('/dashboard/operator');
  expect((await show('/dashboard/operator', cookie)).text).toContain('<html lang="de"');
});

test('a session ends when it is revoked, idle, too old or signed out, and with the operator’s key', async () => {
  const update = (change: string) => api.pool.query(`update operator_sessions set ${change}`);
  const ended: [string, () => Promise<unknown>, string][] = [
    ['revoked', () => operator('DELETE', '/admin/operator-sessions'), 'operator’s key has changed'],
    ['idle', () => update(`last_seen_at = now() - interval '15 minutes'`), 'after 15 minutes'],
    ['old', () => update('expires_at = now()'), 'after 15 minutes'],
    ['another key', () => update(`key_hash = '\\x00'`), 'operator’s key has changed'],
  ];
  for (const [, end, text] of ended) {
    const cookie = await signIn();
    expect((await show('/dashboard/operator', cookie)).status).toBe(200);
    await end();
    const over = await show('/dashboard/operator', cookie);
    expect(over.status).toBe(401);
    expect(over.text).toContain(text);
    expect(over.headers.get('set-cookie')).toMatch(/^tandem_operator=;.*Max-Age=0$/);
    expect((await show('/dashboard/operator/live', cookie)).json.code).toBe('unauthorized');
  }
  const cookie = await signIn();
  const csrf = csrfOf((await show('/dashboard/operator', cookie)).text);
  const out = await send('/dashboard/operator/logout', { csrf }, { cookie });
  expect(out.status).toBe(200);
  expect((await show('/dashboard/operator', cookie)).status).toBe(401);
});

test('signing in again ends the session that the browser was in, and no other', async () => {
  const [first, other] = [await signIn(), await signIn()];
  const again = await send('/dashboard/login', { key: ADMIN_KEY }, { cookie: first });
  expect((await show('/dashboard/operator', first)).status).toBe(401);
  for (const cookie of [other, cookieOf(again)]) {
    expect((await show('/dashboard/operator', cookie)).status).toBe(200);
  }
  const { json } = await operator('GET', '/admin/operator-sessions');
  expect(json.data.length).toBeGreaterThan(1);
  const [{ id }] = json.data;
  expect((await operator('DELETE', `/admin/operator-sessions/${id}`)).status).toBe(204);
  expect((await operator('DELETE', '/admin/operator-sessions/ops_none')).status).toBe(404);
  expect((await show('/dashboard/operator', cookieOf(again))).status).toBe(401);
});

test('an api with another operator’s key takes no session of the earlier one', async () => {
  const cookie = await signIn();
  await using other = await openTestApi({
    pool: api.pool,
    doorPool: api.doorPool,
    adminKey: new Secret('another key of the operator'),
  });
  expect((await other.call('GET', '/dashboard/operator', { headers: { cookie } })).status).toBe(401);
  expect((await show('/dashboard/operator', cookie)).status).toBe(200);
});

test('a link on another site leads to the page, although the browser leaves the cookie out at first', async () => {
  const reply = await show('/dashboard/operator', '', { 'sec-fetch-site': 'cross-site' });
  expect([reply.status, reply.headers.get('refresh')]).toEqual([200, '0']);
  const again = await show('/dashboard/operator', '', { 'sec-fetch-site': 'same-origin' });
  expect([again.status, again.headers.get('location')]).toEqual([
    303,
    '/dashboard/login?next=%2Fdashboard%2Foperator',
  ]);
});

const statusNow = async () => {
  const { status, json } = await operator('GET', '/admin/status');
  expect(status).toBe(200);
  return json;
};

/** A status that was read after this moment, not kept from before. */
async function freshStatus() {
  const since = new Date().toISOString();
  return waitFor('a fresh status', async () => {
    const json = await statusNow();
    return json.at > since ? json : undefined;
  });
}

test('the status has what runs and waits; a part that cannot be read is null', async () => {
  const { key } = await api.account();
  await api.call('POST', '/exports', { key, body: { resource: 'invoices' } });
  await reportProcess(api.pool, { id: 'p1', service: 'writer', version: '1', host: 'h', pid: 1 }, true);
  await reportProcess(api.pool, { id: 'p2', service: 'bulk', version: '1', host: 'h', pid: 2 }, true);
  await api.pool.query(`update processes set seen_at = now() - interval '21 seconds' where id = 'p2'`);
  const status = await freshStatus();
  expect(status.queues).toMatchObject({
    exports: { queued: 1, queued_by_limit: 0, extracting: 0 },
    export_chunks: { waiting: 0 },
    bulk: { queued: 0, oldest_queued_seconds: null },
    outbox: { waiting: 2 },
  });
  expect(status.queues.exports.oldest_queued_seconds).toBeGreaterThan(0);
  expect(status.processes.map(({ id, state }: { id: string; state: string }) => [id, state])).toEqual([
    ['p2', 'silent'],
    ['p1', 'ready'],
  ]);
  expect(status.held_transactions).toEqual([]);
  expect(status.consumers).toBeNull();
  expect(status.source).toMatchObject({ slot: 'test', state: 'unknown', warn_bytes: 1_000_000_000 });
  const codes = status.bottlenecks.map(({ code }: { code: string }) => code);
  expect(codes).toContain('kafka_silent');
  expect(status.bottlenecks).toContainEqual(
    expect.objectContaining({ code: 'service_missing', subject: 'bulk' }),
  );
});

test('of several exports those above the limit of their account wait for it', async () => {
  const { id, key } = await api.account();
  await operator('PATCH', `/admin/accounts/${id}`, { limits: { max_running_exports: 1 } });
  for (let n = 0; n < 3; n += 1) await api.call('POST', '/exports', { key, body: { resource: 'invoices' } });
  const before = (await freshStatus()).queues.exports;
  await api.pool.query(
    `/* arranged */ update exports set status = 'running', phase = 'extracting'
     where id = (select min(id) from exports where account_id = $1)`,
    [id],
  );
  const after = (await freshStatus()).queues.exports;
  expect([before.queued_by_limit, after.queued_by_limit]).toEqual([0, 2]);
  expect([after.queued, after.extracting]).toEqual([before.queued - 1, before.extracting + 1]);
});

test('however many ask, the status is read once', async () => {
  await freshStatus();
  const spy = vi.spyOn(api.pool, 'query');
  try {
    const all = await Promise.all(Array.from({ length: 50 }, statusNow));
    const reads = spy.mock.calls.filter(([query]) => JSON.stringify(query).includes('read_queues'));
    expect(reads.length).toBeLessThan(2);
    expect(new Set(all.map(({ at }) => at)).size).toBeLessThan(3);
  } finally {
    spy.mockRestore();
  }
});

test('a transaction that Tandem holds on the source is told, with its service', async () => {
  const session = openProductPool({
    connectionString: api.databaseUrl,
    max: 1,
    application_name: 'tandem extractor',
  });
  const client = await session.connect();
  try {
    await client.query('begin isolation level repeatable read');
    await client.query('select 1');
    const { held_transactions: held } = await freshStatus();
    expect(held).toContainEqual(
      expect.objectContaining({
        application: 'tandem extractor',
        state: 'idle in transaction',
        holds_vacuum: true,
      }),
    );
  } finally {
    client.release(true);
    await session.end();
  }
});

test('a process is listed while it runs, whether it is ready or not, and not after', async () => {
  const health = { ready: false };
  const listed = async () => (await listProcesses(api.pool)).find(({ id }) => id === 'running');
  {
    await using _ = announceProcess(
      { id: 'running', service: 'writer' },
      { db: api.pool, health, log: silentLog, everyMs: 20 },
    );
    await waitFor('the process is listed', async () => (await listed())?.isReady === false);
    health.ready = true;
    await waitFor('the process is ready', async () => (await listed())?.isReady === true);
    const first = (await listed())?.seenAt ?? new Date(0);
    await waitFor('the row is renewed', async () => ((await listed())?.seenAt ?? first) > first);
  }
  expect(await listed()).toBeUndefined();
});

describe('each page and each kind of session', () => {
  const cookies: Record<string, string> = {};
  let account: Awaited<ReturnType<TestApi['account']>>;

  beforeAll(async () => {
    account = await api.account();
    cookies.none = '';
    cookies.portal = await openPortal(account);
    cookies.key = cookieOf(await send('/dashboard/login', { key: account.key }));
    // The token of an account's session under the name of the operator's cookie.
    cookies['portal under the operator’s name'] = cookies.portal.replace(/^\w+=/, 'tandem_operator=');
    const signedIn = await signIn();
    cookies['operator under the portal’s name'] = signedIn.replace(/^\w+=/, 'tandem_session=');
    cookies.operator = signedIn;
  });

  test.each(
    operatorPages().flatMap((page) =>
      ['none', 'portal', 'key', 'portal under the operator’s name', 'operator under the portal’s name'].map(
        (kind) => [page.method, page.path, kind, page] as const,
      ),
    ),
  )('%s %s is not for %s', async (method, template, kind, page) => {
    const path = template.replace('{id}', account.id).replace(/\{\w+\}/g, 'x');
    const cookie = cookies[kind] ?? '';
    const csrf = csrfOf((await show('/dashboard', cookie)).text);
    const reply = method === 'GET' ? await show(path, cookie) : await send(path, { csrf }, { cookie });
    expect(reply.status).toBe(page.isLive === true ? 401 : 303);
    if (page.isLive !== true) expect(reply.headers.get('location')).toMatch(/^\/dashboard\/login\?next=/);
  });

  test('no page of an account is for the operator’s session', async () => {
    for (const page of dashboardPages({ frameAncestors: [] }).filter(({ method }) => method === 'GET')) {
      const path = page.path.replace(/\{\w+\}/g, 'x');
      for (const kind of ['operator', 'operator under the portal’s name']) {
        expect([303, 401], `${path} ${kind}`).toContain((await show(path, cookies[kind] ?? '')).status);
      }
    }
  });

  test.each(
    operatorPages()
      .filter(({ method }) => method === 'POST')
      .map(({ path }) => path),
  )(
    'POST %s takes no form without the token of its session, of another session or from another site',
    async (template) => {
      const path = template.replace('{id}', account.id).replace(/\{\w+\}/g, 'x');
      const cookie = cookies.operator ?? '';
      const csrf = csrfOf((await show('/dashboard/operator', cookie)).text);
      const others = csrfOf((await show('/dashboard', cookies.portal ?? '')).text);
      for (const [field, origin] of [
        ['', api.url],
        [others, api.url],
        [csrf, 'https://evil.example'],
      ] as const) {
        expect((await send(path, { csrf: field }, { cookie, origin })).status).toBe(403);
      }
    },
  );
});
