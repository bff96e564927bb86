import { afterAll, beforeAll, expect, test } from 'vitest';
import { createPublicUrls } from '../../../services/api/http/public-urls.ts';
import { Secret } from '../../../shared/runtime/env.ts';
import { createLog } from '../../../shared/runtime/log.ts';
import { ADMIN_KEY, openTestApi, type TestApi } from '../../support/api-server.ts';
import { cookieOf, csrfOf, sendForm } from '../../support/dashboard.ts';

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

const send = (
  path: string,
  fields: Readonly<Record<string, string>>,
  headers: Readonly<Record<string, string>> = {},
) => sendForm(api, path, fields, headers);

const show = (path: string, cookie: string, headers: Record<string, string> = {}) =>
  api.call('GET', path, { headers: { cookie, ...headers } });

async function signIn(): Promise<string> {
  const reply = await send('/dashboard/login', { key: ADMIN_KEY });
  expect(reply.status).toBe(303);
  return cookieOf(reply);
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
  const audit = await api.operator('GET', '/admin/audit?action=operator_session.opened');
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
  expect(framed.text).toContain('do not open in a frame');
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
    ['revoked', () => api.operator('DELETE', '/admin/operator-sessions'), 'operator’s key has changed'],
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
  const { json } = await api.operator('GET', '/admin/operator-sessions');
  expect(json.data.length).toBeGreaterThan(1);
  const [{ id }] = json.data;
  expect((await api.operator('DELETE', `/admin/operator-sessions/${id}`)).status).toBe(204);
  expect((await api.operator('DELETE', '/admin/operator-sessions/ops_none')).status).toBe(404);
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

test('an operator ends own sessions by the page: one, then all', async () => {
  const [cookie, other] = [await signIn(), await signIn()];
  const { text } = await show('/dashboard/operator/sessions', cookie);
  const [newest] = [...text.matchAll(/ops_[0-9A-Z]{26}/g)].map(([id]) => id);
  const csrf = csrfOf(text);
  await send(`/dashboard/operator/sessions/${newest}/end`, { csrf }, { cookie });
  expect((await show('/dashboard/operator', other)).status).toBe(401);
  expect((await show('/dashboard/operator', cookie)).status).toBe(200);
  await send('/dashboard/operator/sessions/end', { csrf }, { cookie });
  expect((await show('/dashboard/operator', cookie)).status).toBe(401);
});
