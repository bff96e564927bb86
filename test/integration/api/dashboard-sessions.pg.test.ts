import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { SCOPES } from '../../../services/api/http/caller.ts';
import { createPublicUrls } from '../../../services/api/http/public-urls.ts';
import { createLog } from '../../../shared/runtime/log.ts';
import { ADMIN_KEY, type ApiReply, openTestApi, type TestApi } from '../../support/api-server.ts';
import {
  cookieOf,
  createDashboardVisitor,
  csrfOf,
  type DashboardVisitor,
  newPortalLink,
  sendForm,
} from '../../support/dashboard.ts';

const REFRESH_URL = 'https://product.example/portal';

let api: TestApi;
let visitor: DashboardVisitor;
/** What the api logged. */
let logged = '';

beforeAll(async () => {
  api = await openTestApi({
    dashboard: { refreshUrl: REFRESH_URL, frameAncestors: ['https://product.example'] },
    log: createLog('info', {}, (line) => {
      logged += line;
    }),
  });
  visitor = createDashboardVisitor(api);
});
afterAll(() => api?.[Symbol.asyncDispose]());

type Account = Awaited<ReturnType<TestApi['account']>>;

const send = (
  path: string,
  fields: Readonly<Record<string, string>>,
  headers: Readonly<Record<string, string>> = {},
) => sendForm(api, path, fields, headers);

const show = (path: string, cookie: string) => visitor.show(path, cookie);

const csrf = (cookie: string) => visitor.csrf(cookie);

/** With the scopes that a link has by default: those to read. */
const open = (account: Account, request: unknown = {}) => visitor.open(account, request);

async function newLink(account: Account, request: unknown = {}): Promise<{ code: string; url: string }> {
  const url = await newPortalLink(api, account, request);
  return { url, code: new URL(url).hash.replace('#code=', '') };
}

test('a portal link opens one session, and its code is in no log and no address that a server sees', async () => {
  const account = await api.account();
  const { code, url } = await newLink(account, { next: '/dashboard/exports' });
  expect(url).toBe(`${api.url}/dashboard/enter#code=${code}`);
  // Whatever looks at the link before the customer does, such as a preview, does not use it up.
  expect((await api.call('GET', '/dashboard/enter')).status).toBe(200);
  const replies = await Promise.all([send('/dashboard/enter', { code }), send('/dashboard/enter', { code })]);
  expect(replies.map(({ status }) => status).sort()).toEqual([303, 401]);
  const entered = replies.find(({ status }) => status === 303) as ApiReply;
  expect(entered.headers.get('location')).toBe('/dashboard/exports');
  expect(entered.headers.get('set-cookie')).toMatch(
    /^tandem_session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax; Max-Age=28800$/,
  );
  const cookie = cookieOf(entered);
  expect((await show('/dashboard/exports', cookie)).status).toBe(200);
  expect(logged).toContain('/dashboard/enter');
  expect(logged).toContain('"caller":"ses_');
  expect(logged).not.toContain(code);
  expect(logged).not.toContain(cookie.split('=')[1]);
  const { rows } = await api.pool.query(`select to_jsonb(l)::text || to_jsonb(s)::text as text
    from portal_links l, portal_sessions s`);
  expect(rows.some(({ text }) => text.includes(code) || text.includes(cookie.split('=')[1]))).toBe(false);
});

test('a link that has expired opens nothing, and the page leads to a new one', async () => {
  const { code } = await newLink(await api.account());
  await api.pool.query('update portal_links set expires_at = now()');
  const reply = await send('/dashboard/enter', { code });
  expect([reply.status, reply.headers.get('set-cookie')]).toEqual([401, null]);
  expect(reply.text).toContain(`href="${REFRESH_URL}"`);
});

test.each([
  [{ next: 'https://evil.example' }],
  [{ next: '//evil.example' }],
  [{ next: '/exports' }],
  [{ next: '/dashboard/../admin' }],
  [{ expires_in: 0 }],
  [{ scopes: [] }],
  [{ theme: 'pink' }],
])('a link is refused with %o', async (request) => {
  const account = await api.account();
  expect((await api.operator('POST', `/admin/accounts/${account.id}/portal-links`, request)).status).toBe(
    422,
  );
});

test('links are for accounts that are there, and for the operator', async () => {
  const { id, key } = await api.account();
  expect((await api.operator('POST', '/admin/accounts/acct_none/portal-links', {})).status).toBe(404);
  expect((await api.call('POST', `/admin/accounts/${id}/portal-links`, { key, body: {} })).status).toBe(403);
});

test('with a key one signs in to what the key may, until it is revoked', async () => {
  const account = await api.account(['exports:read']);
  const reply = await send('/dashboard/login', { key: account.key, next: '/dashboard/exports' });
  expect([reply.status, reply.headers.get('location')]).toEqual([303, '/dashboard/exports']);
  const cookie = cookieOf(reply);
  const { text } = await show('/dashboard', cookie);
  expect(text).toContain('Running now');
  expect(text).not.toContain('Webhook endpoints');
  expect(text).not.toContain(account.key);
  const keys = await api.operator('GET', `/admin/accounts/${account.id}/keys`);
  await api.operator('DELETE', `/admin/accounts/${account.id}/keys/${keys.json.data[0].id}`);
  const after = await show('/dashboard', cookie);
  expect(after.status).toBe(401);
  expect(after.text).toContain('Your session is over');
});

test.each([
  ['', 401],
  ['tk_unknown', 401],
  ['a b', 401],
])('the key %j does not sign in', async (key, status) => {
  const reply = await send('/dashboard/login', { key, next: 'https://evil.example' });
  expect([reply.status, reply.headers.get('set-cookie')]).toEqual([status, null]);
  expect(reply.text).toContain('role="alert"');
  expect(reply.text).not.toContain('evil.example');
});

test('sessions are listed, and end at once: one, all with the open links, idle ones, old ones, and by signing out', async () => {
  const account = await api.account();
  const base = `/admin/accounts/${account.id}/portal-sessions`;
  const status = async (cookie: string) => (await show('/dashboard', cookie)).status;
  const [one, two, three] = [await open(account), await open(account), await open(account)];
  const listed = await api.operator('GET', base);
  expect(listed.json.data).toHaveLength(3);
  expect(listed.json.data[0]).toMatchObject({
    key_id: null,
    scopes: SCOPES.filter((s) => s.endsWith(':read')),
  });
  const other = await api.account();
  const id = listed.json.data[2].id;
  expect((await api.operator('DELETE', `/admin/accounts/${other.id}/portal-sessions/${id}`)).status).toBe(
    404,
  );
  expect(await status(one)).toBe(200);
  expect((await api.operator('DELETE', `${base}/${id}`)).status).toBe(204);
  expect([await status(one), await status(two)]).toEqual([401, 200]);

  const { code } = await newLink(account);
  const foreign = await open(other);
  expect((await api.operator('DELETE', base)).status).toBe(204);
  expect([await status(two), await status(three), await status(foreign)]).toEqual([401, 401, 200]);
  expect((await send('/dashboard/enter', { code })).status).toBe(401);
  expect((await api.operator('GET', base)).json.data).toEqual([]);

  const [idle, old, left] = [await open(account), await open(account), await open(account)];
  const hashed = async (column: string, cookie: string) =>
    api.pool.query(`update portal_sessions set ${column} where token_hash = sha256(convert_to($1, 'UTF8'))`, [
      cookie.split('=')[1],
    ]);
  await hashed("last_seen_at = now() - interval '1800 seconds'", idle);
  await hashed('expires_at = now()', old);
  expect([await status(idle), await status(old), await status(left)]).toEqual([401, 401, 200]);
  const out = await send('/dashboard/logout', { csrf: await csrf(left) }, { cookie: left });
  expect(out.headers.get('set-cookie')).toContain('Max-Age=0');
  expect(await status(left)).toBe(401);
});

test('what a page asks by itself keeps no idle session alive; what somebody does keeps it', async () => {
  const account = await api.account();
  const cookie = await open(account);
  const seen = async () => {
    const { rows } = await api.pool.query('select last_seen_at from portal_sessions where account_id = $1', [
      account.id,
    ]);
    return rows[0].last_seen_at.getTime() as number;
  };
  await api.pool.query(
    `update portal_sessions set last_seen_at = now() - interval '10 minutes' where account_id = $1`,
    [account.id],
  );
  const before = await seen();
  expect((await show('/dashboard/live', cookie)).status).toBe(200);
  expect(await seen()).toBe(before);
  // The module of a page has loaded it again.
  expect((await show('/dashboard?auto=0', cookie)).status).toBe(200);
  expect(await seen()).toBe(before);
  await show('/dashboard', cookie);
  expect(await seen()).toBeGreaterThan(before);
});

test('in a frame the cookie is for that frame alone, and only the named origins may frame the pages', async () => {
  const { headers } = await show('/dashboard', await open(await api.account()));
  const policy = headers.get('content-security-policy') ?? '';
  expect(policy).toContain('frame-ancestors https://product.example');
  expect(policy).toMatch(/default-src 'none'.*form-action 'self'.*require-trusted-types-for 'script'/);
  expect(policy).not.toContain('unsafe');
  expect(headers.get('cache-control')).toBe('no-store');
  const url = 'https://tandem.example/v1';
  await using secure = await openTestApi({ urls: createPublicUrls(() => url) });
  const login = await secure.call('GET', '/v1/dashboard/login');
  expect(login.headers.get('content-security-policy')).toContain("frame-ancestors 'none'");
  const { key } = await secure.account();
  const signIn = (headers: Record<string, string>) =>
    secure.call('POST', '/v1/dashboard/login', {
      body: new URLSearchParams({ key }).toString(),
      headers: {
        origin: 'https://tandem.example',
        'content-type': 'application/x-www-form-urlencoded',
        ...headers,
      },
    });
  const framed = await signIn({ 'sec-fetch-dest': 'iframe' });
  expect(framed.headers.get('location')).toBe('/v1/dashboard');
  expect(framed.headers.get('set-cookie')).toMatch(
    /__Host-tandem_framed=[\w-]{43}; Path=\/; HttpOnly; Secure; SameSite=None; Partitioned; /,
  );
  expect((await signIn({})).headers.get('set-cookie')).toMatch(
    /__Host-tandem_session=[\w-]{43}; .*; Secure; SameSite=Lax; /,
  );
  // Another may serve the same host over plain http, and the host of the request is the proxy's word.
  for (const origin of ['http://tandem.example', secure.url]) {
    const refused = await signIn({ origin });
    expect(refused.status, origin).toBe(403);
    expect(refused.text).toContain('Open the dashboard there.');
  }
});

test('without PUBLIC_URL the cookie is as safe as the page of the form; of several in one browser a living one counts', async () => {
  await using open = await openTestApi({ urls: createPublicUrls(() => 'http://127.0.0.1', false) });
  const { host } = new URL(open.url);
  const { id, key } = await open.account();
  const post = (path: string, fields: Record<string, string>, headers: Record<string, string> = {}) =>
    open.call('POST', path, {
      body: new URLSearchParams(fields).toString(),
      headers: {
        origin: `https://${host}`,
        'content-type': 'application/x-www-form-urlencoded',
        ...headers,
      },
    });
  const setIn = ({ headers }: ApiReply) =>
    headers
      .getSetCookie()
      .flatMap((line) => (line.includes('Max-Age=0') ? [] : (line.split(';')[0] ?? [])))[0] ?? '';
  const removedIn = ({ headers }: ApiReply) =>
    headers.getSetCookie().flatMap((line) => (line.includes('Max-Age=0') ? line.split('=')[0] : []));
  const status = async (cookie: string) =>
    (await open.call('GET', '/dashboard', { headers: { cookie } })).status;

  const plain = setIn(await post('/dashboard/login', { key }, { origin: `http://${host}` }));
  const unframed = setIn(await post('/dashboard/login', { key }));
  const framedReply = await post('/dashboard/login', { key }, { 'sec-fetch-dest': 'iframe' });
  const framed = setIn(framedReply);
  expect([plain, unframed, framed].map((cookie) => cookie.split('=')[0])).toEqual([
    'tandem_session',
    '__Host-tandem_session',
    '__Host-tandem_framed',
  ]);
  expect(removedIn(framedReply)).toEqual(['__Host-tandem_session', 'tandem_session']);
  expect(await Promise.all([plain, unframed, framed].map(status))).toEqual([200, 200, 200]);

  const { json } = await open.call('GET', `/admin/accounts/${id}/portal-sessions`, { key: ADMIN_KEY });
  const path = `/admin/accounts/${id}/portal-sessions/${json.data[0].id}`;
  await open.call('DELETE', path, { key: ADMIN_KEY });
  expect([await status(framed), await status(`${framed}; ${unframed}`)]).toEqual([401, 200]);
  const over = await open.call('GET', '/dashboard', { headers: { cookie: framed } });
  expect(removedIn(over)).toEqual(['__Host-tandem_framed']);

  const cookie = `${framed}; ${unframed}; ${plain}`;
  const { text } = await open.call('GET', '/dashboard', { headers: { cookie } });
  const out = await post('/dashboard/logout', { csrf: csrfOf(text) }, { cookie });
  expect(removedIn(out)).toEqual(['__Host-tandem_framed', '__Host-tandem_session', 'tandem_session']);
  expect(await Promise.all([plain, unframed, framed].map(status))).toEqual([401, 401, 401]);
});

test('a new session ends the one that it replaces, and a link changes no account without a question', async () => {
  const [mine, others] = [await api.account(), await api.account()];
  const first = await open(mine);
  const enter = async (cookie: string, fields: Record<string, string>) =>
    send('/dashboard/enter', fields, { cookie });
  const status = async (cookie: string) => (await show('/dashboard', cookie)).status;

  const second = cookieOf(await enter(first, { code: (await newLink(mine)).code }));
  expect([await status(first), await status(second)]).toEqual([401, 200]);
  const { code } = await newLink(others);
  const asked = await enter(second, { code });
  expect([asked.status, asked.headers.get('set-cookie')]).toEqual([409, null]);
  expect(asked.text).toContain('name="replace"');
  expect(await status(second)).toBe(200);
  const third = cookieOf(await enter(second, { code, replace: 'yes' }));
  expect([await status(second), await status(third)]).toEqual([401, 200]);
  const fourth = cookieOf(await send('/dashboard/login', { key: mine.key }, { cookie: third }));
  expect([await status(third), await status(fourth)]).toEqual([401, 200]);
  await send('/dashboard/logout', { csrf: await csrf(fourth) }, { cookie: fourth });
  expect(await status(fourth)).toBe(401);

  const ends = async ({ id }: Account) => {
    const { json } = await api.operator('GET', `/admin/audit?account_id=${id}&action=portal_session.revoked`);
    return json.data.map((entry: { details: { reason: string }; actor: string; subject_id: string }) => [
      entry.details.reason,
      entry.actor === entry.subject_id,
    ]);
  };
  expect(await ends(mine)).toEqual([
    ['signed_out', true],
    ['replaced', true],
    ['replaced', true],
  ]);
  expect(await ends(others)).toEqual([['replaced', true]]);
});

test('a code that opens nothing costs no transaction, and one of another form no look-up', async () => {
  const account = await api.account();
  const transactions = vi.spyOn(api.pool, 'connect');
  const lookups = vi.spyOn(api.doorPool, 'query');
  try {
    const odd = await Promise.all(
      ['', 'x', 'x'.repeat(44)].map((code) => send('/dashboard/enter', { code })),
    );
    expect(odd.map(({ status }) => status)).toEqual([401, 401, 401]);
    expect(lookups).not.toHaveBeenCalled();
    const unknown = await Promise.all(
      Array.from({ length: 20 }, (_, n) => send('/dashboard/enter', { code: `${n}`.padEnd(43, 'x') })),
    );
    expect(new Set(unknown.map(({ status }) => status))).toEqual(new Set([401]));
    expect(transactions).not.toHaveBeenCalled();
  } finally {
    transactions.mockRestore();
    lookups.mockRestore();
  }
  await open(account);
});

test('signing in has the rate of its key, known or not, and all sessions of a key have one rate together', async () => {
  await using limited = await openTestApi({ accountLimits: { requestsPerSecond: 10, requestsPerMinute: 3 } });
  const form = { origin: limited.url, 'content-type': 'application/x-www-form-urlencoded' };
  const signIn = (key: string) =>
    limited.call('POST', '/dashboard/login', { body: `key=${key}`, headers: form });
  const { id, key } = await limited.account();
  const replies = [await signIn(key), await signIn(key), await signIn(key), await signIn(key)];
  expect(replies.map(({ status }) => status)).toEqual([303, 303, 303, 429]);
  expect(replies[3]?.headers.get('retry-after')).toMatch(/^\d+$/);
  expect(replies[3]?.text).toContain('This key exceeds its limit');
  const { rows } = await limited.pool.query('select id from portal_sessions where account_id = $1', [id]);
  expect(rows).toHaveLength(3);

  const pages = [0, 1, 2, 0].map((n) => cookieOf(replies[n] as ApiReply));
  const statuses = [];
  for (const cookie of pages) {
    statuses.push((await limited.call('GET', '/dashboard', { headers: { cookie } })).status);
  }
  expect(statuses).toEqual([200, 200, 200, 429]);

  const unknown = await Promise.all(Array.from({ length: 60 }, () => signIn('tk_unknown')));
  expect(unknown.map(({ status }) => status)).toContain(429);
});

test('whoever signs in again and again with one key ends no session of a link or of another key', async () => {
  const account = await api.account();
  const made = await api.operator('POST', `/admin/accounts/${account.id}/keys`, {});
  const byLink = await open(account);
  const other = cookieOf(await send('/dashboard/login', { key: made.json.key }));
  const first = cookieOf(await send('/dashboard/login', { key: account.key }));
  await api.pool.query(
    `insert into portal_sessions (id, account_id, token_hash, scopes, key_id, hide_navigation, is_framed, expires_at)
     select 'ses_' || $1 || n, $1, sha256(convert_to($1 || n, 'UTF8')), s.scopes, s.key_id, false, false, s.expires_at
     from generate_series(1, 499) n, portal_sessions s where s.token_hash = sha256(convert_to($2, 'UTF8'))`,
    [account.id, first.split('=')[1]],
  );
  const last = cookieOf(await send('/dashboard/login', { key: account.key }));
  const statuses = [];
  for (const cookie of [byLink, other, last]) statuses.push((await show('/dashboard', cookie)).status);
  expect(statuses).toEqual([200, 200, 200]);
  expect((await show('/dashboard', first)).status).toBe(303);
});
