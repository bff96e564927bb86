import { afterAll, beforeAll, expect, test } from 'vitest';
import { dashboardPages } from '../../../services/api/dashboard/routes.ts';
import { SCOPES } from '../../../services/api/http/caller.ts';
import { openTestApi, type TestApi } from '../../support/api-server.ts';
import { completeExport } from '../../support/complete-export.ts';
import {
  createDashboardVisitor,
  csrfOf,
  type DashboardVisitor,
  describeEachSession,
  sendForm,
} from '../../support/dashboard.ts';

const HOSTILE = `<img src=x onerror="alert(1)">'"&{{x}}</script>`;

let api: TestApi;
let visitor: DashboardVisitor;

beforeAll(async () => {
  api = await openTestApi();
  visitor = createDashboardVisitor(api);
  await api.pool.query(`
    create schema documint;
    create table documint.customers (id bigint primary key, account_id text, created_at timestamptz, deleted_at timestamptz);
    create table documint.invoices (id bigint primary key, account_id text, number text, internal_notes text,
      created_at timestamptz, deleted_at timestamptz)`);
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

async function newExport({ key }: Account): Promise<string> {
  return (await api.call('POST', '/exports', { key, body: { resource: 'invoices' } })).json.id;
}

test('a form from elsewhere is refused, and one without the token of its session', async () => {
  const account = await api.account();
  const cookie = await open(account, { scopes: SCOPES });
  const id = await newExport(account);
  const path = `/dashboard/exports/${id}/cancel`;
  const token = await csrf(cookie);
  const other = await csrf(await open(account, { scopes: SCOPES }));
  const refused = [
    await send(path, { csrf: token }, { cookie, origin: 'https://evil.example' }),
    await send(path, { csrf: token }, { cookie, origin: 'null' }),
    await api.call('POST', path, { headers: { cookie } }),
    await send(path, {}, { cookie }),
    await send(path, { csrf: other }, { cookie }),
    await send('/dashboard/login', { key: account.key }, { origin: 'https://evil.example' }),
    await send('/dashboard/enter', { code: 'x' }, { origin: 'https://evil.example' }),
  ];
  expect(refused.map(({ status }) => status)).toEqual(refused.map(() => 403));
  expect((await api.call('GET', `/exports/${id}`, { key: account.key })).json.status).toBe('pending');
  expect((await send(path, { csrf: token }, { cookie })).status).toBe(303);
  expect((await api.call('GET', `/exports/${id}`, { key: account.key })).json.status).toBe('cancelled');
  const audit = await api.operator('GET', `/admin/audit?account_id=${account.id}&action=export.cancelled`);
  expect(audit.json.data[0].actor).toMatch(/^ses_/);
});

test('no form is taken without its token, with that of another session, from another site, or by a GET', async () => {
  const account = await api.account();
  const [cookie, others] = [await open(account, { scopes: SCOPES }), await open(account, { scopes: SCOPES })];
  const [token, other] = [await csrf(cookie), await csrf(others)];
  const pages = dashboardPages({ frameAncestors: [] });
  const forms = [
    ...pages,
    ...['/dashboard/language', '/dashboard/logout'].map((path) => ({ method: 'POST', path })),
  ];
  const taken: string[] = [];
  const ask = async (path: string, takesFile: boolean, fields: Record<string, string>, origin: string) => {
    const form = takesFile ? new FormData() : new URLSearchParams();
    for (const [name, value] of Object.entries(fields)) form.append(name, value);
    if (form instanceof FormData) form.append('file', new File(['1'], 'ids.txt'));
    const sent = new Request(`${api.url}${path}`, { method: 'POST', body: form });
    const headers = { cookie, origin, 'content-type': sent.headers.get('content-type') ?? '' };
    const { status } = await api.call('POST', path, { body: await sent.text(), headers });
    if (status !== 403) taken.push(`${status} ${path} ${JSON.stringify(fields)} ${origin}`);
  };
  for (const page of forms.filter(({ method }) => method === 'POST')) {
    const path = page.path.replace(/\{\w+\}/g, 'x');
    const takesFile = 'takesFile' in page && page.takesFile === true;
    await ask(path, takesFile, {}, api.url);
    await ask(path, takesFile, { csrf: other }, api.url);
    await ask(path, takesFile, { csrf: token }, 'https://evil.example');
    const isPage = pages.some((each) => each.method === 'GET' && each.path === page.path);
    const status =
      isPage || /\/(?:new|\{id\})$/.test(page.path) ? undefined : (await show(path, cookie)).status;
    if (status !== undefined && status !== 405 && status !== 404) taken.push(`${status} GET ${path}`);
  }
  expect(taken).toEqual([]);
  expect((await show('/dashboard', cookie)).status).toBe(200);
});

test('the look of a session is that of its link', async () => {
  const account = await api.account();
  const cookie = await open(account, { theme: 'dark', hide_navigation: true, locale: 'en-GB' });
  const { text } = await show('/dashboard', cookie);
  expect(text).toContain('data-theme="dark"');
  expect(text).not.toContain('Sign out');
  const german = await show('/dashboard', await open(account, { locale: 'de-AT' }));
  expect(german.text).toContain('<html lang="de"');
});

test('a language is chosen on any page, for the session alone, and leads back to the page', async () => {
  const account = await api.account();
  const [cookie, other] = [await open(account), await open(account)];
  const german = { 'accept-language': 'en-GB,de-AT;q=0.5' };
  const path = '/dashboard/exports?status=completed';
  const page = await show(path, cookie);
  expect(page.text).toContain(`name="next" value="${path}"`);
  const choose = (language: string, next: string) =>
    send('/dashboard/language', { csrf: csrfOf(page.text), language, next }, { cookie, ...german });
  const chosen = await choose('de', path);
  expect([chosen.status, chosen.headers.get('location')]).toEqual([303, path]);
  expect((await show(path, cookie)).text).toContain('<html lang="de"');
  expect((await show(path, other)).text).toContain('<html lang="en"');
  const { rows } = await api.pool.query(
    'select locale from portal_sessions where locale is not null and account_id = $1',
    [account.id],
  );
  expect(rows).toEqual([{ locale: 'de-AT' }]);
  for (const next of ['https://evil.example', '//evil.example', '/exports', '/dashboard/../admin']) {
    expect((await choose('__proto__', next)).headers.get('location')).toBe('/dashboard');
  }
  expect((await show(path, cookie)).text).toContain('<html lang="de"');
  expect((await choose('en', path)).status).toBe(303);
  expect((await show(path, cookie)).text).toContain('<html lang="en"');
});

test('texts of customers stay texts', async () => {
  const made = await api.operator('POST', '/admin/accounts', { name: HOSTILE, source_id: HOSTILE });
  const { json } = await api.operator('POST', `/admin/accounts/${made.json.id}/keys`, {});
  const account = { id: made.json.id, key: json.key, sourceId: HOSTILE };
  await api.call('POST', '/webhooks', {
    key: account.key,
    body: { url: 'https://receiver.example/', events: ['*'], description: HOSTILE },
  });
  const id = await newExport(account);
  await api.pool.query(
    `/* arranged */ update exports set status = 'failed', phase = 'done', started_at = now(), completed_at = now(), error = $2 where id = $1`,
    [id, JSON.stringify({ code: HOSTILE, message: HOSTILE })],
  );
  const cookie = await open(account);
  for (const path of ['/dashboard', '/dashboard/exports', `/dashboard/exports/${id}`]) {
    const { status, text } = await show(path, cookie);
    expect(status, path).toBe(200);
    expect(text, path).toContain('&lt;img src=x');
    expect(text, path).not.toContain('<img src=x');
  }
  const odd = await show('/dashboard/exports?status=%3Cimg%20src%3Dx%3E&cursor=%22%3E', cookie);
  expect(odd.status).toBe(422);
  expect(odd.text).not.toContain('<img src=x');
});

/** Pages that another file tests with each kind of session. */
const ELSEWHERE = [
  '/dashboard/bulk',
  '/dashboard/verify',
  '/dashboard/webhooks',
  '/dashboard/events',
  '/dashboard/keys',
  '/dashboard/audit',
];

describeEachSession(
  dashboardPages({ frameAncestors: [] }).filter(
    ({ path }) => !ELSEWHERE.some((area) => path === area || path.startsWith(`${area}/`)),
  ),
  {
    api: () => api,
    async arrange(owner, { method, path }) {
      const id = await newExport(owner);
      const isContinued = method === 'POST' && path.endsWith('{id}');
      const isOfFiles = /files|delete$/.test(path) || isContinued;
      if (isOfFiles) await completeExport(api, id, '{}\n');
      if (path.endsWith('/resume')) await api.call('POST', `/exports/${id}/pause`, { key: owner.key });
      const isObject = path.includes('{id}');
      const endpointsAfter = async (exportId: string) => {
        const { json } = await api.call('GET', '/webhooks', { key: owner.key });
        return json.data.filter(
          ({ start }: { start: { after_export?: string } }) => start.after_export === exportId,
        ).length;
      };
      const status = async () => (await api.call('GET', `/exports/${id}`, { key: owner.key })).json.status;
      const isChanged = async () => {
        if (isContinued) return (await endpointsAfter(id)) > 0;
        if (path.endsWith('/pause')) return (await status()) === 'paused';
        if (path.endsWith('/resume')) return (await status()) !== 'paused';
        return ['cancelled', 'expired'].includes(await status());
      };
      return {
        params: { id, name: 'invoices.jsonl' },
        fields: { resource: 'invoices', url: 'https://receiver.example/' },
        own: isObject ? 'invoices' : id,
        ...(path.includes('/files/') ? { good: 302 } : {}),
        ...(path.endsWith('/estimate') || isContinued ? { good: 200 } : {}),
        ...(method === 'POST' && isObject ? { isChanged } : {}),
        end: () => api.call('POST', `/exports/${id}/cancel`, { key: owner.key }),
      };
    },
  },
);
