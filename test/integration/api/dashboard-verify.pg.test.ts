import { afterAll, beforeAll, expect, test } from 'vitest';
import { verifyPages } from '../../../services/api/dashboard/verify/verify-pages.ts';
import { createDashboardVisitor, csrfOf, describeEachSession } from '../../support/dashboard.ts';
import { DIGEST, openVerifyPages, type VerifyPages } from '../../support/verify-pages.ts';

const HOSTILE = `<img src=x onerror="alert(1)">'"&{{x}}</script>`;

let pages: VerifyPages;
beforeAll(async () => {
  pages = await openVerifyPages();
});
afterAll(() => pages?.[Symbol.asyncDispose]());

async function newCheck({ key }: { readonly key: string }): Promise<string> {
  const { status, json } = await pages.api.call('POST', '/exports', {
    key,
    body: { resource: 'invoices', format: 'digest' },
  });
  expect(status, JSON.stringify(json)).toBe(202);
  return json.id;
}

test('a check is started once, and shows its position, then its digests', async () => {
  const { api, recordedAccount, complete } = pages;
  const visitor = createDashboardVisitor(api);
  const account = await recordedAccount();
  const cookie = await visitor.open(account);
  const empty = await visitor.show('/dashboard/verify', cookie);
  expect(empty.text).toContain('No checks yet.');
  const { text } = await visitor.show('/dashboard/verify/new', cookie);
  expect(text).toContain('value="invoices" checked>');
  // Without the whole old row there is no past to compare with.
  expect(text).toContain('value="customers" disabled>');
  const request = /name="request" value="([^"]+)"/.exec(text)?.[1] ?? '';
  const fields = { csrf: csrfOf(text), request, resource: 'invoices' };
  const [first, second] = [
    await visitor.send('/dashboard/verify/new', fields, cookie),
    await visitor.send('/dashboard/verify/new', fields, cookie),
  ];
  const page = first.headers.get('location') ?? '';
  expect([first.status, second.headers.get('location')]).toEqual([303, page]);
  const id = page.split('/').at(-1) ?? '';
  const pending = await visitor.show(page, cookie);
  expect(pending.text).toContain('No. 1 in the queue');
  expect(pending.text).toContain('The position is known a moment after');
  // It takes the place of an export, so it is among what runs.
  const overview = (await visitor.show('/dashboard', cookie)).text;
  expect(overview).toContain(`<a href="/dashboard/verify/${id}">Check of `);
  await complete(id);
  const completed = await visitor.show(page, cookie);
  for (const shown of [
    '0000000000001A2B-0000000000',
    DIGEST,
    '1,234',
    'tandem replica verify sqlite:replica.db',
  ])
    expect(completed.text).toContain(shown);
  expect(completed.text).toContain(`href="/dashboard/exports/${id}/files/invoices.digest.jsonl"`);
  // Checks and exports of records are apart.
  for (const path of ['/dashboard/exports', '/dashboard', '/dashboard/webhooks/new']) {
    expect((await visitor.show(path, cookie)).text, path).not.toContain(id);
  }
  const { json: plain } = await api.call('POST', '/exports', {
    key: account.key,
    body: { resource: 'invoices' },
  });
  expect((await visitor.show('/dashboard/verify', cookie)).text).not.toContain(plain.id);
  expect((await visitor.show(`/dashboard/verify/${plain.id}`, cookie)).status).toBe(404);
  const again = await visitor.show('/dashboard/verify/new?resource=customers', cookie);
  expect(again.text).toContain('value="invoices">');
  await api.call('DELETE', `/exports/${id}`, { key: account.key });
  expect((await visitor.show(page, cookie)).text).toContain('The digests have been removed.');
});

test('what the API refuses is said at the form, which keeps what was chosen', async () => {
  const { api } = pages;
  const visitor = createDashboardVisitor(api);
  const account = await api.account();
  const cookie = await visitor.open(account);
  const csrf = await visitor.csrf(cookie);
  const none = await visitor.send('/dashboard/verify/new', { csrf }, cookie);
  expect([none.status, none.text.includes('Choose at least one resource.')]).toEqual([422, true]);
  const early = await visitor.send('/dashboard/verify/new', { csrf, resource: 'invoices' }, cookie);
  expect([early.status, early.text.includes('role="alert"'), early.text.includes('recording')]).toEqual([
    422,
    true,
    true,
  ]);
  expect(early.text).toContain('value="invoices" checked>');
  const hostile = await visitor.send('/dashboard/verify/new', { csrf, resource: HOSTILE }, cookie);
  expect([hostile.status, hostile.text.includes('<img src=x')]).toEqual([422, false]);
});

test('a check that failed, and names of all kinds, are shown as texts', async () => {
  const { api, recordedAccount, complete } = pages;
  const visitor = createDashboardVisitor(api);
  const account = await recordedAccount();
  const cookie = await visitor.open(account, { scopes: ['exports:read'], locale: 'de-DE' });
  const id = await newCheck(account);
  await complete(id);
  await api.pool.query(
    `/* arranged */ update exports set resources = array[$2],
       files = jsonb_build_array(files->0 || jsonb_build_object('resource', $2::text, 'name', $2::text)) where id = $1`,
    [id, HOSTILE],
  );
  const shown = await visitor.show(`/dashboard/verify/${id}`, cookie);
  expect(shown.status).toBe(200);
  expect(shown.text).toContain('&lt;img src=x');
  expect(shown.text).not.toContain('<img src=x');
  expect(shown.text).toContain('Prüfsumme');
  // A session that only reads starts nothing.
  expect(shown.text).not.toContain('/dashboard/verify/new');
  const failed = await newCheck(account);
  await api.pool.query(
    `/* arranged */ update exports set status = 'failed', phase = 'done', started_at = now(), completed_at = now(), error = $2 where id = $1`,
    [failed, JSON.stringify({ code: 'moment_not_covered', message: HOSTILE })],
  );
  const page = await visitor.show(`/dashboard/verify/${failed}`, cookie);
  expect(page.text).toContain('Die Prüfung ist fehlgeschlagen');
  expect(page.text).not.toContain('<img src=x');
});

describeEachSession(verifyPages({ frameAncestors: [] }), {
  api: () => pages.api,
  async arrange(owner, { method, path }) {
    const { api, recordAll } = pages;
    await recordAll();
    const id = await newCheck(owner);
    const isObject = path.includes('{id}');
    const status = async () => (await api.call('GET', `/exports/${id}`, { key: owner.key })).json.status;
    return {
      params: { id },
      fields: { resource: 'invoices' },
      own: isObject ? 'invoices' : id,
      ...(method === 'POST' && isObject ? { isChanged: async () => (await status()) === 'cancelled' } : {}),
      end: () => api.call('POST', `/exports/${id}/cancel`, { key: owner.key }),
    };
  },
});
