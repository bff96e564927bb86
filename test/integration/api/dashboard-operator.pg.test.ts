import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { operatorPages } from '../../../services/api/dashboard/operator/operator-routes.ts';
import { dashboardPages } from '../../../services/api/dashboard/routes.ts';
import { ADMIN_KEY, openTestApi, type TestApi } from '../../support/api-server.ts';
import { cookieOf, createDashboardVisitor, csrfOf, fieldOf, sendForm } from '../../support/dashboard.ts';
import { waitFor } from '../../support/wait-for.ts';

let api: TestApi;

beforeAll(async () => {
  api = await openTestApi({ dashboard: { frameAncestors: ['https://product.example'] } });
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

const HOSTILE = `<img src=x onerror="alert(1)">'"&{{x}}</script>`;

test('accounts are created, found, and edited with an entry in the audit log; what is refused stays in the form', async () => {
  const cookie = await signIn();
  const form = await show('/dashboard/operator/accounts/new', cookie);
  const csrf = csrfOf(form.text);
  const request = fieldOf(form.text, 'request');
  const fields = { csrf, request, name: HOSTILE, source_id: 'op-1', max_running_exports: '2' };
  const limits = { max_running_bulk_operations: '4', items: '', period: 'week' };
  const wrong = await send(
    '/dashboard/operator/accounts/new',
    { ...fields, ...limits, items: 'many' },
    { cookie },
  );
  expect(wrong.status).toBe(422);
  expect(wrong.text).toContain('<strong>Items of bulk jobs in a period</strong>');
  expect([fieldOf(wrong.text, 'items'), fieldOf(wrong.text, 'source_id')]).toEqual(['many', 'op-1']);
  expect(wrong.text).not.toContain('<img src=x');

  // Sent twice, as with a double click: one account.
  const made = await Promise.all(
    [0, 1].map(() => send('/dashboard/operator/accounts/new', { ...fields, ...limits }, { cookie })),
  );
  const place = made.find(({ status }) => status === 303)?.headers.get('location') ?? '';
  const { rows } = await api.pool.query(`select id, bulk_quota from accounts where source_id = 'op-1'`);
  expect(rows).toEqual([{ id: place.split('/').at(-1), bulk_quota: null }]);

  for (const search of ['ONERROR', rows[0].id, 'op-1']) {
    const { text } = await show(`/dashboard/operator/accounts?search=${search}`, cookie);
    expect(text, search).toContain(rows[0].id);
    expect(text).not.toContain('<img src=x');
  }
  const none = await show('/dashboard/operator/accounts?search=nobody%20at%20all', cookie);
  expect(none.text).toContain('No account matches.');

  const edit = await show(`${place}/edit`, cookie);
  expect(edit.text).toContain('<option value="week" selected>');
  const change = { csrf, name: 'Renamed', max_running_exports: '5', ...limits, items: '1000', period: 'day' };
  expect((await send(`${place}/edit`, change, { cookie })).headers.get('location')).toBe(place);
  const account = await api.operator('GET', `/admin/accounts/${rows[0].id}`);
  expect(account.json).toMatchObject({
    name: 'Renamed',
    limits: { max_running_exports: 5, bulk_quota: { items: 1_000, period: 'day' } },
  });
  const page = await show(place, cookie);
  expect(page.text).toContain('1,000 items a day');
  expect(page.text).toContain('changed the account.');
  const audit = await show('/dashboard/operator/audit?action=account.updated', cookie);
  expect(audit.text).toContain('<option value="account.updated" selected>… changed the account');
  const [entry] = audit.text.match(/<tbody><tr>.*?<\/tr>/s) ?? [''];
  expect(entry.replaceAll(/<details>.*<\/details>|<[^>]+>/gs, '')).toMatch(
    /The operator changed the account\.\s+Name: Renamed · Limits: Bulk quota \(Items 1,000, Period calendar day\), Exports at once 5, Bulk jobs at once 4/,
  );
  expect(entry).toContain(`href="/dashboard/operator/accounts/${rows[0].id}"`);
  // The entry as it is stored is one click away.
  expect(entry).toContain('&quot;max_running_exports&quot;: 5');
  expect(audit.text.match(/<tbody>.*<\/tbody>/s)?.[0]).not.toContain('made the link');
});

test('a period of a fixed length is kept by the form, which cannot write one', async () => {
  const { id } = await api.account();
  const period = { seconds: 7_200, starting_at: '2026-01-01T00:00:00.000Z' };
  await api.operator('PATCH', `/admin/accounts/${id}`, { limits: { bulk_quota: { items: 5, period } } });
  const cookie = await signIn();
  const { text } = await show(`/dashboard/operator/accounts/${id}/edit`, cookie);
  expect(text).toContain('<option value="keep" selected>Every 2 hr');
  const fields = { max_running_exports: '3', max_running_bulk_operations: '3', items: '6', period: 'keep' };
  const csrf = csrfOf(text);
  await send(`/dashboard/operator/accounts/${id}/edit`, { csrf, name: 'Kept', ...fields }, { cookie });
  const { json } = await api.operator('GET', `/admin/accounts/${id}`);
  expect(json.limits.bulk_quota).toEqual({ items: 6, period });
});

test('accounts come in pages, and a search goes on within itself', async () => {
  const cookie = await signIn();
  await api.pool.query(
    `insert into accounts (id, name, source_id) select 'acct_p' || n, 'Paged ' || n, 'paged ' || n from generate_series(1, 30) n`,
  );
  const first = await show('/dashboard/operator/accounts?search=paged', cookie);
  const older = /href="([^"]*cursor=[^"]*)"/.exec(first.text)?.[1]?.replaceAll('&amp;', '&') ?? '';
  const second = await show(older, cookie);
  const names = (text: string) => [...text.matchAll(/>(Paged \d+)</g)].map(([, name]) => name);
  expect([names(first.text).length, names(second.text).length]).toEqual([25, 5]);
  expect(new Set([...names(first.text), ...names(second.text)]).size).toBe(30);
});

test('a portal link is shown once; sessions of the account end one by one and all together', async () => {
  const account = await api.account();
  const cookie = await signIn();
  const path = `/dashboard/operator/accounts/${account.id}`;
  const form = await show(`${path}/portal-link`, cookie);
  const fields = new URLSearchParams([
    ['csrf', csrfOf(form.text)],
    ['request', fieldOf(form.text, 'request')],
    ['scope', 'exports:read'],
    ['expires_in', '300'],
    ['next', '/dashboard/exports'],
  ]);
  const post = () =>
    api.call('POST', `${path}/portal-link`, {
      body: fields.toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded', origin: api.url, cookie },
    });
  const made = await post();
  expect(made.status).toBe(200);
  const code = /#code=([\w-]{43})</.exec(made.text)?.[1] ?? '';
  // The browser has sent the form again: it is the same link.
  expect((await post()).text).toContain(code);
  const entered = await send('/dashboard/enter', { code });
  expect(entered.headers.get('location')).toBe('/dashboard/exports');
  const others = await createDashboardVisitor(api).open(account);

  const page = await show(path, cookie);
  expect(page.text).not.toContain(code);
  const [id] = /ses_[0-9A-Z]{26}/.exec(page.text) ?? [];
  const csrf = csrfOf(page.text);
  expect((await send(`${path}/sessions/${id}/end`, { csrf }, { cookie })).status).toBe(303);
  const open = async () =>
    Promise.all([cookieOf(entered), others].map(async (each) => (await show('/dashboard', each)).status));
  expect((await open()).sort()).toEqual([200, 401]);
  expect((await send(`${path}/sessions/end`, { csrf }, { cookie })).status).toBe(303);
  expect(await open()).toEqual([401, 401]);

  fields.delete('scope');
  fields.set('request', 'another');
  const refused = await post();
  expect(refused.status).toBe(422);
  expect(refused.text).toContain('<strong>What the session may do</strong>');
});

test('an account’s page has its jobs, endpoints, events and entries, and nothing of others', async () => {
  const [mine, others] = [await api.account(), await api.account()];
  const made: Record<string, string> = {};
  for (const [name, { key }] of Object.entries({ mine, others })) {
    made[name] = (await api.call('POST', '/exports', { key, body: { resource: 'invoices' } })).json.id;
    const body = {
      url: `https://${name}.example/${encodeURIComponent(HOSTILE)}`,
      events: ['*'],
      description: HOSTILE,
    };
    await api.call('POST', '/webhooks', { key, body });
  }
  const { status, text } = await show(`/dashboard/operator/accounts/${mine.id}`, await signIn());
  expect(status).toBe(200);
  expect(text).toContain(made.mine);
  expect(text).toContain('https://mine.example/');
  expect(text).toContain('created the webhook endpoint');
  expect(text).not.toContain(made.others);
  expect(text).not.toContain('others.example');
  expect(text).not.toContain('<img src=x');
  expect((await show('/dashboard/operator/accounts/acct_none', await signIn())).status).toBe(404);
});

test('endpoints with dead letters of all accounts are listed, those created last first', async () => {
  const cookie = await signIn();
  expect((await show('/dashboard/operator/dead-letters', cookie)).text).toContain('No event was given up.');
  const ids: string[] = [];
  for (const n of [1, 2]) {
    const { key } = await api.account();
    const body = { url: `https://dead${n}.example/hook`, events: ['*'] };
    const { id } = (await api.call('POST', '/webhooks', { key, body })).json;
    ids.unshift(id);
    await api.pool.query(
      `insert into webhook_parked (webhook_id, commit_lsn, idx, committed_at, record_key, state)
       select $1, '0/1', n, now(), 'invoices/1', case when n = 0 then 'waiting' else 'dead' end
       from generate_series(0, $2::int) n`,
      [id, n],
    );
  }
  const { json } = await api.operator('GET', '/admin/dead-letters');
  expect(
    json.data.map(({ webhook_id: id, dead_letters: dead }: { webhook_id: string; dead_letters: number }) => [
      id,
      dead,
    ]),
  ).toEqual([
    [ids[0], 2],
    [ids[1], 1],
  ]);
  const { text } = await show('/dashboard/operator/dead-letters', cookie);
  expect(text.indexOf('dead2.example')).toBeLessThan(text.indexOf('dead1.example'));
  const first = await api.operator('GET', '/admin/dead-letters?limit=1');
  const next = await api.operator('GET', `/admin/dead-letters?limit=1&cursor=${first.json.next_cursor}`);
  expect(next.json.data[0].webhook_id).toBe(ids[1]);
});

test('endpoints that fail or were disabled are listed from all accounts, the longest first, and lead to their account', async () => {
  const cookie = await signIn();
  const path = '/dashboard/operator/failing-endpoints';
  expect((await show(path, cookie)).text).toContain('No endpoint fails, and none is disabled.');
  expect((await show('/dashboard/operator', cookie)).text).not.toContain(`<a href="${path}">Show`);
  const made = async (name: string, change: string) => {
    const { id: accountId, key } = await api.account();
    const body = { url: `https://${name}.example/${encodeURIComponent(HOSTILE)}`, events: ['*'] };
    const { id } = (await api.call('POST', '/webhooks', { key, body })).json;
    await api.pool.query(`update webhooks set ${change} where id = $1`, [id]);
    return { id, accountId };
  };
  const recent = await made('recent', `failing_since = now() - interval '5 minutes'`);
  const gone = await made(
    'gone',
    `status = 'disabled', status_reason = 'the endpoint returned 410 Gone', updated_at = now() - interval '2 days'`,
  );
  await made('paused', `status = 'paused', failing_since = now() - interval '9 days'`);
  const longest = await made('longest', `failing_since = now() - interval '3 days'`);
  await api.pool.query(
    `insert into webhook_attempts (webhook_id, event_id, attempt, started_at, duration_ms, status, outcome)
     values ($1, 'evt_1', 1, now() - interval '2 hours', 5, null, 'tls'), ($1, 'evt_1', 2, now() - interval '1 hour', 5, 503, 'failed'),
       ($1, 'evt_2', 1, now(), 5, 200, 'delivered')`,
    [longest.id],
  );
  await api.pool.query(
    `insert into webhook_parked (webhook_id, commit_lsn, idx, committed_at, record_key, state, attempt_count)
     select $1, '0/1', n, now() - interval '4 hours', 'invoices/' || n, 'waiting', 1 from generate_series(1, 7) n`,
    [longest.id],
  );
  const { json } = await api.operator('GET', '/admin/failing-endpoints');
  expect(json.data).toMatchObject([
    {
      webhook_id: longest.id,
      account_id: longest.accountId,
      status: 'active',
      last_failure: { status: 503, outcome: 'failed' },
      behind_by: { events: 7, is_exact: true },
    },
    { webhook_id: gone.id, status: 'disabled', last_failure: null, behind_by: { events: 0 } },
    { webhook_id: recent.id },
  ]);
  expect(json.data[0].behind_by.seconds).toBeGreaterThan(14_000);
  const pages: string[] = [];
  for (let query = '?limit=1'; query !== ''; ) {
    const page = (await api.operator('GET', `/admin/failing-endpoints${query}`)).json;
    pages.push(...page.data.map(({ webhook_id: id }: { webhook_id: string }) => id));
    query = page.next_cursor === null ? '' : `?limit=1&cursor=${page.next_cursor}`;
  }
  expect(pages).toEqual([longest.id, gone.id, recent.id]);
  const { text } = await show(path, cookie);
  expect(text).not.toContain('<img src=x');
  expect(text.indexOf('longest.example')).toBeLessThan(text.indexOf('recent.example'));
  expect(text).toContain(`href="/dashboard/operator/accounts/${longest.accountId}"`);
  for (const words of ['Status 503', '7 events', 'It returned 410 Gone', 'since <time']) {
    expect(text, words).toContain(words);
  }
  // From the cause, and from the queues. A reading is shared for two seconds.
  const link = new RegExp(`<a href="${path}">Show the failing endpoints`, 'g');
  await waitFor('the status leads to them', async () => {
    const { text: status } = await show('/dashboard/operator', cookie);
    return status.match(link)?.length === 2;
  });
  await api.pool.query('delete from webhooks where id = any($1)', [[longest.id, gone.id, recent.id]]);
});

test('the status names the cause, what to do and the runbook’s section, and other parts although one is away', async () => {
  const { text } = await show('/dashboard/operator', await signIn());
  expect(text).toContain('These services have no running process: extractor,');
  expect(text).toContain('start it; the log of the last one says why it ended');
  expect(text).toContain('href="/dashboard/operator/runbook#work-is-slow"');
  expect(text).toContain('Unknown: it does not respond now.');
  expect(text).toContain('Queues');
  const runbook = await show('/dashboard/operator/runbook', await signIn());
  expect(runbook.text).toContain('id="work-is-slow"');
  expect(Buffer.byteLength(runbook.text)).toBeLessThan(150_000);
});

describe('each page and each kind of session', () => {
  const cookies: Record<string, string> = {};
  let account: Awaited<ReturnType<TestApi['account']>>;

  beforeAll(async () => {
    account = await api.account();
    cookies.none = '';
    cookies.portal = await createDashboardVisitor(api).open(account);
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
