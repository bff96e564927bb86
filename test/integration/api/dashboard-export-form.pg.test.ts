import { afterAll, beforeAll, expect, test } from 'vitest';
import { completeExport } from '../../support/complete-export.ts';
import { csrfOf } from '../../support/dashboard.ts';
import { type ExportPages, openExportPages } from '../../support/export-pages.ts';

const HOSTILE = `<img src=x onerror="alert(1)">'"&{{x}}</script>`;

let pages: ExportPages;
beforeAll(async () => {
  pages = await openExportPages();
});
afterAll(() => pages?.[Symbol.asyncDispose]());

test('a form is estimated, refused in words, and starts one export however often it is sent', async () => {
  const { api, visitor, newExport } = pages;
  const account = await api.account();
  const cookie = await visitor.open(account);
  const { text } = await visitor.show('/dashboard/exports/new', cookie);
  const request = /name="request" value="([^"]+)"/.exec(text)?.[1] ?? '';
  const post = (fields: Readonly<Record<string, string>>) =>
    visitor.send('/dashboard/exports/new', { csrf: csrfOf(text), request, ...fields }, cookie);
  const count = async () => (await api.call('GET', '/exports', { key: account.key })).json.data.length;
  const estimateOf = async (choice: URLSearchParams) => {
    const body = `csrf=${csrfOf(text)}&${choice}`;
    const headers = { 'content-type': 'application/x-www-form-urlencoded', origin: api.url, cookie };
    return (await api.call('POST', '/dashboard/exports/new/estimate', { body, headers })).json;
  };

  const estimate = await post({ do: 'estimate', resource: 'invoices', format: 'csv' });
  expect(estimate.status).toBe(200);
  expect(estimate.text).toMatch(/data-estimate-text="duration">\d+ sec/);
  expect(estimate.text).toMatch(/<option selected>csv<.*/s);
  expect(estimate.text).toContain('value="invoices" checked>');
  const refused = await post({ resource: 'invoices', format: 'parquet', compression: 'gzip' });
  expect(refused.status).toBe(422);
  expect(refused.text).toContain('Compression: must be none for parquet');
  expect((await post({ format: 'csv' })).text).toContain('Choose at least one resource.');
  expect((await post({ resource: HOSTILE, 'field:invoices': HOSTILE, as_of: HOSTILE })).text).not.toContain(
    '<img src=x',
  );
  const two = new URLSearchParams([
    ['resource', 'customers'],
    ['resource', 'invoices'],
    ['field:invoices', 'number'],
  ]);
  expect((await estimateOf(two)).fault).toContain('Fields can be chosen for one resource');
  // The rules of texts are those of a JSON body.
  const raw = async (field: string) => {
    const body = `csrf=${csrfOf(text)}&resource=invoices&${field}`;
    const headers = { 'content-type': 'application/x-www-form-urlencoded', origin: api.url, cookie };
    return (await api.call('POST', '/dashboard/exports/new', { body, headers })).status;
  };
  for (const field of ['request=%00', 'request=%07', 'request=%ff', 'format=%00', 'x=%ed%a0%80']) {
    expect(await raw(field), field).toBe(400);
  }
  expect(await count()).toBe(0);

  const started = await Promise.all([post({ resource: 'invoices' }), post({ resource: 'invoices' })]);
  const places = started.flatMap(({ status, headers }) => (status === 303 ? headers.get('location') : []));
  expect(new Set(places).size).toBe(1);
  expect(await count()).toBe(1);
  const { json } = await api.call('GET', '/exports', { key: account.key });
  expect(places[0]).toBe(`/dashboard/exports/${json.data[0].id}`);

  // With a full queue, the form says so before it is sent.
  const cannotStart = 'The queue of this account is full.';
  const chosen = new URLSearchParams({ resource: 'invoices' });
  expect((await estimateOf(chosen)).fault).toBeNull();
  for (let n = 0; n < 2; n += 1) await newExport(account);
  expect((await estimateOf(chosen)).fault).toContain(cannotStart);
  expect((await post({ do: 'estimate', resource: 'invoices' })).text).toContain(cannotStart);
  expect((await post({ resource: 'invoices', request: 'another' })).text).toContain(cannotStart);
});

test('the form asks for all that the API offers, and an export can be asked for again', async () => {
  const { api, visitor, newExport } = pages;
  const account = await api.account();
  const cookie = await visitor.open(account);
  const csrfToken = await visitor.csrf(cookie);
  const start = async (fields: Readonly<Record<string, string>>) => {
    const reply = await visitor.send('/dashboard/exports/new', { csrf: csrfToken, ...fields }, cookie);
    const id = reply.headers.get('location')?.split('/').at(-1);
    return id === undefined
      ? reply.text
      : (await api.call('GET', `/exports/${id}`, { key: account.key })).json;
  };
  const first = await start({
    resource: 'invoices',
    'field:invoices': 'number',
    format: 'csv',
    csv_safe: 'on',
    zip: 'on',
    include_deleted: 'on',
    from: '2026-01-01T00:00',
    to: '2026-02-01T00:00:30',
    range_field: 'created_at',
    max_rows_per_second: '5000',
  });
  expect(first).toMatchObject({
    resources: ['invoices'],
    fields: ['id', 'number'],
    format: 'csv',
    csv_safe: true,
    archive: 'zip',
    include_deleted: true,
    date_range: {
      from: '2026-01-01T00:00:00Z',
      to: '2026-02-01T00:00:30Z',
      field: 'created_at',
    },
    max_rows_per_second: 5_000,
  });
  const again = (await visitor.show(`/dashboard/exports/new?from=${first.id}`, cookie)).text;
  for (const part of [
    'name="resource" value="invoices" checked',
    'value="number" checked',
    '<option selected>csv<',
    'name="csv_safe" checked',
    'name="zip" checked',
    'name="include_deleted" checked',
    'name="from" value="2026-01-01T00:00:00"',
    '<option selected>created_at<',
    'value="5000"',
  ]) {
    expect(again).toContain(part);
  }
  expect(again).not.toContain('name="include_related" checked');
  expect(await start({ resource: 'invoices', to: '2026-02-01T00:00' })).toContain(
    'Enter when the date range begins',
  );
  expect(await start({ resource: 'invoices', kind: 'as_of', as_of: '2020-01-01T00:00' })).toContain(
    'Time: is older than the retained changes',
  );
  expect(await start({ kind: 'changes' })).toContain('Choose the earlier export');
  const others = await newExport(await api.account());
  expect(await start({ kind: 'changes', changes_since: others })).toContain('There is no export');
});

test('the form and the overview say what is wrong with the feed', async () => {
  const { api, visitor } = pages;
  const account = await api.account();
  const cookie = await visitor.open(account);
  const [form, overview] = ['/dashboard/exports/new', '/dashboard'];
  expect((await visitor.show(form, cookie)).text).not.toMatch(/not recorded at present|feed stands still/);
  await api.pool.query(`
    insert into feed_set_aside (resource, since_lsn, since_at, reason, detail) values ('invoices', '0/1', now(), 'no_key', 'x');
    update feed_stall set reason = 'not_moving', detail = 'x', since = now() - interval '2 hours'`);
  try {
    const { text } = await visitor.show(form, cookie);
    expect(text).toContain('The change feed stands still.');
    expect(text.match(/Changes of this resource are not recorded at present/g)).toHaveLength(1);
    const cards = (await visitor.show(overview, cookie)).text.replace(/<[^>]*>/g, '');
    expect(cards).toContain('Stalled stopped 2 hours ago');
    expect(cards).toContain('Changes of these resources are not recorded at present: invoices.');
  } finally {
    await api.pool.query(
      'delete from feed_set_aside; update feed_stall set reason = null, detail = null, since = null',
    );
  }
});

test('changes since an earlier export are of its records and fields', async () => {
  const { api, visitor } = pages;
  const account = await api.account();
  const cookie = await visitor.open(account);
  const body = { resources: ['invoices', 'customers'], include_deleted: true };
  const { json: base } = await api.call('POST', '/exports', { key: account.key, body });
  await completeExport(api, base.id, '{}\n');
  const form = (await visitor.show(`/dashboard/exports/new?kind=changes&changes_since=${base.id}`, cookie))
    .text;
  expect(form).toContain(`<option value="${base.id}" selected>invoices, customers`);
  const fields = { csrf: csrfOf(form), kind: 'changes', changes_since: base.id };
  const { headers } = await visitor.send('/dashboard/exports/new', fields, cookie);
  const id = headers.get('location')?.split('/').at(-1);
  expect((await api.call('GET', `/exports/${id}`, { key: account.key })).json).toMatchObject({
    ...body,
    changes_since: base.id,
  });
});
