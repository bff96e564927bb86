import { afterAll, beforeAll, expect, test } from 'vitest';
import { audit as german } from '../../../services/api/dashboard/messages/de/audit.ts';
import { audit as english } from '../../../services/api/dashboard/messages/en/audit.ts';
import { dashboardPages } from '../../../services/api/dashboard/routes.ts';
import { SCOPES } from '../../../services/api/http/caller.ts';
import { openTestApi, type TestApi } from '../../support/api-server.ts';
import {
  createDashboardVisitor,
  csrfOf,
  type DashboardVisitor,
  describeEachSession,
} from '../../support/dashboard.ts';

const HOSTILE = `<img src=x onerror="alert(1)">'"&{{x}}</script>`;

let api: TestApi;
let visitor: DashboardVisitor;
beforeAll(async () => {
  api = await openTestApi();
  visitor = createDashboardVisitor(api);
});
afterAll(() => api?.[Symbol.asyncDispose]());

type Account = Awaited<ReturnType<TestApi['account']>>;

const post = (key: string, body: unknown, headers: Record<string, string> = {}) =>
  api.call('POST', '/keys', { key, body, headers });

async function auditOf({ id }: Account, query = ''): Promise<Record<string, unknown>[]> {
  return (await api.operator('GET', `/admin/audit?account_id=${id}${query}`)).json.data;
}

describeEachSession(
  dashboardPages({ frameAncestors: [] }).filter(({ path }) => /^\/dashboard\/(keys|audit)/.test(path)),
  {
    api: () => api,
    async arrange(owner, { path }) {
      const name = 'Only of the owner';
      const { json } = await post(owner.key, { name, scopes: ['exports:read'] });
      const isRevoked = async () => {
        const { status } = await api.call('GET', '/exports', { key: json.key });
        return status === 401;
      };
      return {
        params: { id: json.id },
        fields: { scope: 'exports:read', name: 'New' },
        own: name,
        ...(path.endsWith('/new') ? { good: 200 } : {}),
        ...(path.endsWith('/revoke') ? { isChanged: isRevoked } : {}),
        end: () => api.call('DELETE', `/keys/${json.id}`, { key: owner.key }),
      };
    },
  },
);

test('the page of keys makes one, shows it once, and revokes it; what is refused keeps what was typed', async () => {
  const account = await api.account();
  const cookie = await visitor.open(account, {
    scopes: ['keys:read', 'keys:write', 'exports:read', 'events:read'],
  });
  const form = (await visitor.show('/dashboard/keys/new', cookie)).text;
  const offered = [...form.matchAll(/name="scope" value="([^"]+)"/g)].map(([, scope]) => scope);
  expect(offered).toEqual(['exports:read', 'events:read', 'keys:read', 'keys:write']);
  const request = /name="request" value="([^"]+)"/.exec(form)?.[1] ?? '';
  const submit = (fields: readonly (readonly [string, string])[]) =>
    visitor.send(
      '/dashboard/keys/new',
      new URLSearchParams([['csrf', csrfOf(form)], ['request', request], ...fields] as [string, string][]),
      cookie,
    );
  const none = await submit([['name', HOSTILE]]);
  expect([none.status, none.text]).toEqual([422, expect.stringContaining('Choose at least one scope.')]);
  expect(none.text).toContain('name="name" maxlength="200" value="&lt;img');
  const excess = await submit([
    ['name', 'x'],
    ['scope', 'exports:read'],
    ['scope', 'bulk:write'],
  ]);
  expect([excess.status, excess.text]).toEqual([403, expect.stringContaining('must not have bulk:write')]);
  expect(excess.text).toMatch(/value="exports:read" checked/);

  const good = [
    ['name', HOSTILE],
    ['scope', 'exports:read'],
    ['scope', 'events:read'],
  ] as const;
  const [made, again] = [await submit(good), await submit(good)];
  const key = /<code>(tk_[\w-]{43})<\/code>/.exec(made.text)?.[1] ?? '';
  expect(made.status).toBe(200);
  expect(made.headers.get('cache-control')).toBe('no-store');
  expect(again.text).toContain(key);
  expect(made.text).not.toContain('<img src=x');
  const statusOf = async () => (await api.call('GET', '/exports', { key })).status;
  expect(await statusOf()).toBe(200);

  const list = await visitor.show('/dashboard/keys', cookie);
  expect(list.text).not.toContain(key);
  expect(list.text).not.toContain('<img src=x');
  expect(list.text).toContain(`<code>${key.slice(0, 9)}…</code>`);
  expect(list.text.match(/<div class="key-head">/g)).toHaveLength(2);
  const id = (await api.call('GET', '/keys', { key: account.key })).json.data[0].id;
  expect(list.text).toContain(`action="/dashboard/keys/${id}/revoke"`);
  const gone = await visitor.send(`/dashboard/keys/${id}/revoke`, { csrf: csrfOf(form) }, cookie);
  expect([gone.status, gone.headers.get('location'), await statusOf()]).toEqual([
    303,
    '/dashboard/keys',
    401,
  ]);
  expect((await visitor.show('/dashboard/keys', cookie)).text).not.toContain('&lt;img');
  const revoked = (await visitor.show('/dashboard/keys?status=revoked', cookie)).text;
  expect(revoked).toContain('&lt;img');
  expect(revoked).not.toContain('/revoke"');
  const [entry] = await auditOf(account, '&action=key.revoked');
  expect(entry).toMatchObject({ subject_id: id, actor: expect.stringMatching(/^ses_/) });
});

test('whoever signed in with a key is told so, and is signed out with it', async () => {
  const account = await api.account();
  const reply = await visitor.send('/dashboard/login', { key: account.key }, '');
  const cookie = (reply.headers.get('set-cookie') ?? '').split(';')[0] ?? '';
  const { text } = await visitor.show('/dashboard/keys', cookie);
  expect(text).toContain('You signed in with it');
  expect(text).toContain('you are signed out as well');
  const id = (await api.call('GET', '/keys', { key: account.key })).json.data[0].id;
  expect((await visitor.send(`/dashboard/keys/${id}/revoke`, { csrf: csrfOf(text) }, cookie)).status).toBe(
    303,
  );
  expect((await visitor.show('/dashboard/keys', cookie)).status).toBe(401);
});

test('keys have pages of their state', async () => {
  const account = await api.account();
  await api.pool.query(
    `insert into api_keys (id, account_id, key_hash, scopes, created_at, revoked_at)
     select 'key_' || $1 || n, $1, sha256(convert_to($1 || n, 'UTF8')), '{}', now() - make_interval(mins => n),
       case when n > 30 then now() end
     from generate_series(1, 40) n`,
    [account.id],
  );
  const cookie = await visitor.open(account);
  const count = (text: string) => text.match(/<div class="key-head">/g)?.length ?? 0;
  const first = (await visitor.show('/dashboard/keys', cookie)).text;
  const next = /href="([^"]+)" rel="next"/.exec(first)?.[1]?.replaceAll('&amp;', '&') ?? '';
  expect([count(first), count((await visitor.show(next, cookie)).text)]).toEqual([25, 6]);
  expect(count((await visitor.show('/dashboard/keys?status=revoked', cookie)).text)).toBe(10);
  expect((await visitor.show('/dashboard/keys?status=%3Cimg', cookie)).status).toBe(422);
});

test('each action of the log is a sentence in both languages, with who did it and with what', () => {
  for (const { sentences } of [english, german]) {
    for (const [action, sentence] of Object.entries(sentences)) {
      const hasNoSubject = action === 'events.read' || action.startsWith('account.');
      const parts = hasNoSubject ? ['{actor}'] : ['{actor}', '{subject}'];
      expect(sentence.match(/\{\w+\}/g)?.sort(), action).toEqual(parts);
    }
  }
});

test('the page of the audit log says in sentences who did what, and finds it by action, actor and time', async () => {
  const account = await api.account();
  const made = await post(account.key, { name: HOSTILE, scopes: ['exports:read', 'exports:write'] });
  const { json: job } = await api.call('POST', '/exports', {
    key: made.json.key,
    body: { resource: 'invoices' },
  });
  await api.pool.query(
    `insert into audit_log (account_id, actor, action, subject_id, details) values
       ($1, 'link', 'export.downloaded', $2, $3), ($1, 'ses_1', 'later.action', 'x_1', '{}'),
       ($1, 'operator', 'portal_session.revoked', $1, '{}')`,
    [account.id, job.id, JSON.stringify({ file: HOSTILE, odd: { a: 1 }, items: 12_345 })],
  );
  const cookie = await visitor.open(account);
  const show = (query = '', by = cookie) => visitor.show(`/dashboard/audit${query}`, by);
  const plain = (html: string) =>
    [...html.matchAll(/<tr><td>(.*?)<\/td>/gs)].map(([, cell]) =>
      (cell ?? '')
        .replace(/<[^>]+>/g, '')
        .replace(/\s+/g, ' ')
        .trim(),
    );
  const { text } = await show();
  expect(text).not.toContain('<img src=x');
  const name = HOSTILE.replace(
    /[&<>"']/g,
    (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' })[c] ?? c,
  );
  expect(plain(text).slice(1, 6)).toEqual([
    `The operator made the link ${text.match(/plk_\w+/)?.[0]} into the dashboard. Scopes: ${SCOPES.join(', ')}`,
    'The operator ended all dashboard sessions.',
    'Somebody in the dashboard: later.action x_1',
    `Somebody with a download link downloaded a file of the export ${job.id}. odd: a 1 · File: ${name} · Items: 12,345`,
    `The key ${name} started the export ${job.id}. Format: jsonl · Resources: invoices`,
  ]);
  expect(text).toContain(`href="/dashboard/exports/${job.id}"`);
  expect(text).toContain(`<option value="${made.json.id}">The key &lt;img`);

  expect(plain((await show(`?actor=${made.json.id}`)).text)).toHaveLength(1);
  expect(plain((await show('?action=export.downloaded&actor=link')).text)).toHaveLength(1);
  expect((await show('?to=2020-01-01T00:00')).text).toContain('No entry matches.');
  const session = await show('?actor=ses_unknown');
  expect(session.text).toContain(
    '<option value="ses_unknown" selected>Somebody in the dashboard (ses_unknown)',
  );
  const refused = await show('?from=soon&action=export.created');
  expect([refused.status, refused.text]).toEqual([422, expect.stringContaining('<strong>From</strong>:')]);
  expect(refused.text).toContain('<option value="export.created" selected>');

  await visitor.send(
    '/dashboard/language',
    { csrf: csrfOf(text), language: 'de', next: '/dashboard/audit' },
    cookie,
  );
  expect(plain((await show('?actor=link')).text)[0]).toContain('hat eine Datei des Exports');
  const blind = await visitor.open(account, { scopes: ['exports:read', 'keys:read'] });
  const hidden = await show('', blind);
  expect([hidden.status, hidden.text]).toEqual([403, expect.not.stringContaining('role="search"')]);
  expect((await visitor.show('/dashboard/keys', blind)).text).not.toContain('/dashboard/audit');
});
