import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SCOPES } from '../../../services/api/http/caller.ts';
import { type ApiReply, openTestApi, type TestApi } from '../../support/api-server.ts';
import { completeExport } from '../../support/complete-export.ts';
import { createDashboardVisitor, type DashboardVisitor } from '../../support/dashboard.ts';
import { hasPython } from '../../support/python.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

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
      created_at timestamptz, deleted_at timestamptz);
    insert into tandem.feed_state (settled_lsn, passed_lsn, system_id, timeline, updated_at) values ('0/A0', '0/A0', '1', 1, now())`);
});
afterAll(() => api?.[Symbol.asyncDispose]());

type Account = Awaited<ReturnType<TestApi['account']>>;

const open = (account: Account, request: unknown = {}) => visitor.open(account, request);
const show = (path: string, cookie: string) => visitor.show(path, cookie);
const csrf = (cookie: string) => visitor.csrf(cookie);
const csrfOf = (text: string) => /name="csrf" value="([^"]+)"/.exec(text)?.[1] ?? '';

function send(
  path: string,
  fields: Readonly<Record<string, string>>,
  { cookie }: { readonly cookie: string },
): Promise<ApiReply> {
  return visitor.send(path, fields, cookie);
}

async function newExport({ key }: Account): Promise<string> {
  return (await api.call('POST', '/exports', { key, body: { resource: 'invoices' } })).json.id;
}

/** What somebody reads, of markup that our pages make. */
function textOfHtml(markup: string): string {
  const names: Readonly<Record<string, string>> = { lt: '<', gt: '>', quot: '"', '#39': "'", amp: '&' };
  return markup.replace(/<[^>]*>/g, '').replace(/&([^;]+);/g, (_, name: string) => names[name] ?? '');
}

test('a new account is told what to do first, and one with an endpoint how far that is behind', async () => {
  const account = await api.account();
  const cookie = await open(account, { scopes: SCOPES });
  const first = (await show('/dashboard', cookie)).text;
  expect(first).toContain('Get your data in three steps');
  expect(first).toContain('href="/dashboard/exports/new"');
  const { json } = await api.call('POST', '/webhooks', {
    key: account.key,
    body: { url: 'https://receiver.example/', events: ['*'] },
  });
  await newExport(account);
  const now = Date.now();
  await api.pool.query(`create table events_all partition of events default`);
  await api.pool.query(
    `insert into events (commit_lsn, idx, account_id, xid, type, resource, record_key, committed_at, payload)
     select '0/F0', n, $1, 100, 'invoice.updated', 'invoices', '["1"]', $2, '{}' from generate_series(1, 41) n`,
    [account.id, new Date(now - 3_000)],
  );
  api.clock.nowMs = now;
  const { text } = await show('/dashboard', cookie);
  api.clock.nowMs = undefined;
  expect(text).not.toContain('three steps');
  expect(text).toContain(`href="/dashboard/webhooks/${json.id}"`);
  expect(text.match(/3 sec, 41 events behind/g)).toHaveLength(2);
  expect(text).toContain('Queued jobs start in this order');
});

test('a form is estimated, refused in words, and starts one export however often it is sent', async () => {
  const account = await api.account();
  const cookie = await open(account, { scopes: SCOPES });
  const { text } = await show('/dashboard/exports/new', cookie);
  const request = /name="request" value="([^"]+)"/.exec(text)?.[1] ?? '';
  const post = (fields: Readonly<Record<string, string>>) =>
    send('/dashboard/exports/new', { csrf: csrfOf(text), request, ...fields }, { cookie });
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
  const account = await api.account();
  const cookie = await open(account, { scopes: SCOPES });
  const csrfToken = await csrf(cookie);
  const start = async (fields: Readonly<Record<string, string>>) => {
    const reply = await send('/dashboard/exports/new', { csrf: csrfToken, ...fields }, { cookie });
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
  const again = (await show(`/dashboard/exports/new?from=${first.id}`, cookie)).text;
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

test('the overview sets the time left apart from the share that is done', async () => {
  const account = await api.account();
  const id = await newExport(account);
  await api.pool.query(
    `/* arranged */ update exports set status = 'running', phase = 'extracting', rows_estimated = 100, rows_extracted = 60,
       rows_written = 40, started_at = now(), snapshot = jsonb_build_object('taken_at', now() - interval '10 s',
         'lsn', '0/1', 'xmin', '1', 'xmax', '1', 'xip', '[]'::jsonb) where id = $1`,
    [id],
  );
  const { text } = await show('/dashboard', await open(account, { scopes: SCOPES }));
  expect(textOfHtml(text)).toMatch(/50% · about \d+ sec left/);
});

test('the form and the overview say what is wrong with the feed', async () => {
  const account = await api.account();
  const cookie = await open(account, { scopes: SCOPES });
  const [form, overview] = ['/dashboard/exports/new', '/dashboard'];
  expect((await show(form, cookie)).text).not.toMatch(/not recorded at present|feed stands still/);
  await api.pool.query(`
    insert into feed_set_aside (resource, since_lsn, since_at, reason, detail) values ('invoices', '0/1', now(), 'no_key', 'x');
    update feed_stall set reason = 'not_moving', detail = 'x', since = now() - interval '2 hours'`);
  try {
    const { text } = await show(form, cookie);
    expect(text).toContain('The change feed stands still.');
    expect(text.match(/Changes of this resource are not recorded at present/g)).toHaveLength(1);
    const cards = (await show(overview, cookie)).text.replace(/<[^>]*>/g, '');
    expect(cards).toContain('Stalled stopped 2 hours ago');
    expect(cards).toContain('Changes of these resources are not recorded at present: invoices.');
  } finally {
    await api.pool.query(
      'delete from feed_set_aside; update feed_stall set reason = null, detail = null, since = null',
    );
  }
});

test('changes since an earlier export are of its records and fields', async () => {
  const account = await api.account();
  const cookie = await open(account, { scopes: SCOPES });
  const body = { resources: ['invoices', 'customers'], include_deleted: true };
  const { json: base } = await api.call('POST', '/exports', { key: account.key, body });
  await completeExport(api, base.id, '{}\n');
  const form = (await show(`/dashboard/exports/new?kind=changes&changes_since=${base.id}`, cookie)).text;
  expect(form).toContain(`<option value="${base.id}" selected>invoices, customers`);
  const fields = { csrf: csrfOf(form), kind: 'changes', changes_since: base.id };
  const { headers } = await send('/dashboard/exports/new', fields, { cookie });
  const id = headers.get('location')?.split('/').at(-1);
  expect((await api.call('GET', `/exports/${id}`, { key: account.key })).json).toMatchObject({
    ...body,
    changes_since: base.id,
  });
});

test('from a completed export an endpoint is made in one step, with its secret shown once', async () => {
  const account = await api.account();
  const cookie = await open(account, { scopes: SCOPES });
  const body = { resources: ['invoices', 'customers'] };
  const { json: job } = await api.call('POST', '/exports', { key: account.key, body });
  await completeExport(api, job.id, '{}\n');
  const path = `/dashboard/exports/${job.id}`;
  const { text } = await show(path, cookie);
  expect(text).toContain('no change between the two is missed');
  const post = (url: string, from = cookie) => send(path, { csrf: csrfOf(text), url }, { cookie: from });
  const refused = await post('http://127.0.0.1/"><img src=x>');
  expect(refused.status).toBe(422);
  expect(refused.text).toContain('value="http://127.0.0.1/&quot;&gt;&lt;img src=x&gt;"');
  expect(refused.text).toMatch(/role="alert" id="url-fault">[^<]{10,}/);
  const endpoints = async () => (await api.call('GET', '/webhooks', { key: account.key })).json.data;
  expect(await endpoints()).toEqual([]);
  const [made, again] = [await post('https://receiver.example/a'), await post('https://receiver.example/a')];
  const [endpoint, ...others] = await endpoints();
  expect(others).toEqual([]);
  expect(endpoint).toMatchObject({
    url: 'https://receiver.example/a',
    start: { after_export: job.id },
    events: ['invoice.*', 'customer.*', 'feed.*'],
  });
  for (const reply of [made, again]) {
    expect(reply.status).toBe(200);
    expect(reply.text).toMatch(/whsec_[\w+/=]{20,}/);
    expect(reply.text).toContain(`href="/dashboard/webhooks/${endpoint.id}"`);
    expect(reply.headers.get('cache-control')).toBe('no-store');
  }
  expect((await show(path, cookie)).text).not.toContain('whsec_');
  const reader = await open(account);
  expect((await show(path, reader)).text).not.toContain('name="url"');
  // The page stays the same while nothing changes, so that no module loads it again.
  const shapeOf = async () => (await api.call('GET', `${path}/live`, { headers: { cookie } })).json.shape;
  expect(await shapeOf()).toBe(await shapeOf());
});

test.skipIf(!hasPython())(
  'the code on the page of an export downloads its files, in three languages',
  async () => {
    const account = await api.account();
    const cookie = await open(account, { scopes: SCOPES });
    const id = await newExport(account);
    const content = '{"id":1}\n{"id":2}\n';
    await completeExport(api, id, content);
    const { text } = await show(`/dashboard/exports/${id}`, cookie);
    const codes = [
      ...text.matchAll(/<pre[^>]*aria-label="Download with code: [^"]*"[^>]*>(.*?)<\/pre>/gs),
    ].map(([, code = '']) => textOfHtml(code));
    expect(codes).toHaveLength(3);
    const [curl = '', typescript = '', python = ''] = codes;
    const root = new URL('../../../', import.meta.url);
    const env = {
      PATH: process.env.PATH,
      TANDEM_KEY: account.key,
      PYTHONPATH: fileURLToPath(new URL('schemas/clients/python/src', root)),
      PYTHONUTF8: '1',
    };
    // As the packages are named once they are installed.
    const source = new URL('schemas/clients/typescript/src/', root).href;
    const module = typescript
      .replace("'@tandem/client'", `'${source}index.ts'`)
      .replace("'@tandem/client/node'", `'${source}node.ts'`);
    const commands: (readonly [string, string[], string])[] = [
      ['sh', ['-c', curl], 'invoices.jsonl'],
      [process.execPath, ['--input-type=module-typescript', '-e', module], 'export/invoices.jsonl'],
      ['python3', ['-c', python], 'export/invoices.jsonl'],
    ];
    for (const [command, args, file] of commands) {
      const folder = temporaryDirectory();
      await promisify(execFile)(command, args, { cwd: folder, env });
      expect(await readFile(join(folder, file), 'utf8'), command).toBe(content);
    }
  },
);

test('an export is paused and resumed from its page, as far as that is possible', async () => {
  const account = await api.account();
  const cookie = await open(account, { scopes: SCOPES });
  const path = `/dashboard/exports/${await newExport(account)}`;
  const page = async () => (await show(path, cookie)).text;
  const press = async (verb: string) => send(`${path}/${verb}`, { csrf: csrfOf(await page()) }, { cookie });
  const buttons = (text: string) =>
    ['pause', 'resume', 'cancel'].filter((verb) => text.includes(`action="${path}/${verb}"`));
  expect(buttons(await page())).toEqual(['pause', 'cancel']);
  expect((await press('pause')).status).toBe(303);
  const paused = await page();
  expect(buttons(paused)).toEqual(['resume', 'cancel']);
  expect(paused).toContain('Paused on request.');
  expect(paused).toContain('It fails unless it is resumed:');
  expect((await show('/dashboard/exports?status=paused', cookie)).text).toContain(path);
  expect((await press('resume')).status).toBe(303);
  expect(buttons(await page())).toEqual(['pause', 'cancel']);
  await api.pool.query(
    `/* arranged */ update exports set status = 'running', phase = 'extracting', snapshot_kind = 'single', started_at = now(),
       snapshot = jsonb_build_object('taken_at', now(), 'lsn', '0/1', 'xmin', '1', 'xmax', '1', 'xip', '[]'::jsonb)
     where account_id = $1`,
    [account.id],
  );
  expect(buttons(await page())).toEqual(['cancel']);
  const refused = await press('pause');
  expect(refused.status).toBe(409);
  expect(refused.text).toContain('under a single snapshot');
});

test('the page of an export names what is ahead of it, others like it, and why it failed', async () => {
  const account = await api.account();
  const cookie = await open(account, { scopes: SCOPES });
  const [first, second, failed] = [
    await newExport(account),
    await newExport(account),
    await newExport(account),
  ];
  const pageOf = async (id: string) => (await show(`/dashboard/exports/${id}`, cookie)).text;
  const waiting = await pageOf(second);
  expect(waiting).toContain('No. 2 in the queue');
  expect(waiting).toContain(`href="/dashboard/exports/${first}"`);
  expect(await pageOf(first)).not.toContain(second);
  await completeExport(api, first, '{}\n');
  await api.pool.query(
    `/* arranged */ update exports set status = 'failed', phase = 'done', started_at = now(), completed_at = now(),
       error = '{"code": "table_locked", "message": "The table documint.invoices is locked."}' where id = $1`,
    [failed],
  );
  const text = await pageOf(failed);
  expect(text).toContain('such as a migration, held a lock on a table');
  expect(text).toContain('The table documint.invoices is locked.');
  expect(text).toContain(`href="/dashboard/exports/${first}"`);
  expect(text).toContain(`href="/dashboard/exports/new?from=${failed}"`);
  const body = { resources: ['customers', 'invoices'] };
  const { json: both } = await api.call('POST', '/exports', { key: account.key, body });
  const listed = async (query: string) => (await show(`/dashboard/exports?${query}`, cookie)).text;
  expect(text).toContain('href="/dashboard/exports?resource=invoices"');
  expect(await listed('resource=invoices')).toContain(first);
  const customers = await listed('resource=customers');
  expect(customers).toContain(both.id);
  expect(customers).not.toContain(first);
  expect(customers).toContain('href="/dashboard/exports?status=completed&amp;resource=customers"');
  expect(await listed('resource=customers&status=completed')).toContain('No exports match this filter.');
  const completed = await pageOf(first);
  for (const code of ['downloadExport(client', 'client.exports.download(', `after_export=${first}`]) {
    expect(
      completed
        .replace(/<[^>]*>/g, '')
        .replaceAll('&quot;', '"')
        .replaceAll('&#39;', "'"),
    ).toContain(code);
  }
});
