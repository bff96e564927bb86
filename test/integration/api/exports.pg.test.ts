import { afterAll, beforeAll, expect, test } from 'vitest';
import { ADMIN_KEY, type TestApi } from '../../support/api-server.ts';
import { openExportsApi, outboxOf, postExport } from '../../support/exports-api.ts';

let api: TestApi;
beforeAll(async () => {
  api = await openExportsApi();
});
afterAll(() => api?.[Symbol.asyncDispose]());

const post = (key: string, body: unknown, headers: Record<string, string> = {}) =>
  postExport(api, key, body, headers);

test('an export is accepted, its job and its command in one commit', async () => {
  const { key, id: accountId } = await api.account();
  const { status, headers, json } = await post(key, { resource: 'invoices' });
  expect(status).toBe(202);
  expect(headers.get('location')).toBe(`/exports/${json.id}`);
  expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
  expect(json).toEqual({
    id: expect.stringMatching(/^exp_/),
    account_id: accountId,
    status: 'pending',
    phase: 'queued',
    resources: ['invoices'],
    format: 'jsonl',
    compression: 'none',
    archive: null,
    csv_safe: false,
    buckets: null,
    include_deleted: false,
    include_related: false,
    date_range: null,
    fields: null,
    changes_since: null,
    as_of: null,
    max_rows_per_second: null,
    rows: { estimated: expect.any(Number), extracted: 0, written: 0 },
    progress: 0,
    eta_seconds: null,
    queue_position: 1,
    created_at: expect.any(String),
    started_at: null,
    completed_at: null,
    expires_at: null,
    snapshot: null,
    cut: null,
    files: [],
    manifest_url: null,
  });
  expect(await outboxOf(api, json.id)).toEqual(['ExtractExport', 'JobCreated']);
  expect((await api.call('GET', `/exports/${json.id}`, { key })).json).toEqual(json);
});

test('everything wrong with a request is told at once, and nothing is made', async () => {
  const { key } = await api.account();
  const { status, json } = await post(key, {
    resource: 'nope',
    formatt: 'jsonl',
    date_range: { from: '2024-02-30T00:00:00Z', to: '2024-03-01T00:00:00' },
  });
  expect(status).toBe(422);
  expect(json.errors.map(({ pointer }: { pointer: string }) => pointer).sort()).toEqual([
    '/date_range/from',
    '/date_range/to',
    '/formatt',
    '/resource',
  ]);
  const range = { from: '2024-02-02T00:00:00Z', to: '2024-02-01T00:00:00Z' };
  expect((await post(key, { resource: 'invoices', date_range: range })).status).toBe(422);
  expect((await api.call('GET', '/exports', { key })).json.data).toEqual([]);
});

test('a date range’s field is a visible date column of the source', async () => {
  const { key } = await api.account();
  const statusOf = async (field: string) =>
    (await post(key, { resource: 'invoices', date_range: { from: '2024-02-02T00:00:00Z', field } })).status;
  expect(await statusOf('created_at')).toBe(202);
  expect(await statusOf('due_on')).toBe(202);
  expect(await statusOf('memo')).toBe(422);
  expect(await statusOf('nope')).toBe(422);
});

test('related resources come along', async () => {
  const { key } = await api.account();
  const { json } = await post(key, { resource: 'invoices', include_related: true });
  expect(json.resources).toEqual(['invoices', 'customers', 'line_items']);
});

test('a dry run estimates and makes no job', async () => {
  const { key, sourceId } = await api.account();
  await api.pool.query('update documint.invoices set account_id = $1', [sourceId]);
  await api.pool.query('analyze documint.invoices');
  const { status, json } = await post(key, { resource: 'invoices', dry_run: true });
  expect(status).toBe(200);
  expect(json).toMatchObject({
    dry_run: true,
    estimated_rows: 1_000,
    estimated_duration_seconds: expect.any(Number),
    refusal: null,
  });
  expect(json.estimated_bytes).toBeGreaterThan(10_000);
  expect((await api.call('GET', '/exports', { key })).json.data).toEqual([]);
});

test('another account’s export is as one that never was', async () => {
  const mine = await api.account();
  const other = await api.account();
  const { json } = await post(mine.key, { resource: 'invoices' });
  for (const [method, path] of [
    ['GET', ''],
    ['POST', '/cancel'],
    ['DELETE', ''],
    ['GET', '/files/invoices.jsonl'],
  ] as const) {
    const theirs = await api.call(method, `/exports/${json.id}${path}`, { key: other.key });
    const never = await api.call(method, `/exports/exp_never${path}`, { key: other.key });
    const anonymous = ({ json: problem }: typeof theirs, id: string) => ({
      ...problem,
      request_id: '',
      detail: problem.detail.replace(id, ''),
    });
    expect(theirs.status).toBe(404);
    expect(anonymous(theirs, json.id)).toEqual(anonymous(never, 'exp_never'));
  }
  expect((await api.call('GET', `/exports/${json.id}`, { key: ADMIN_KEY })).status).toBe(200);
});

test('the operator exports all accounts at once, which no account sees', async () => {
  const { key } = await api.account();
  const { status, json } = await post(ADMIN_KEY, { resource: 'invoices', account_id: '*' });
  expect(json.queue_position).toBe(1);
  expect(status).toBe(202);
  expect(json.account_id).toBeNull();
  expect((await api.call('GET', `/exports/${json.id}`, { key })).status).toBe(404);
  expect((await post(key, { resource: 'invoices', account_id: '*' })).status).toBe(422);
});

test('the same key and body give the same job, whatever the order of keys', async () => {
  const { key } = await api.account();
  const headers = { 'idempotency-key': 'k' };
  const first = await post(key, { resource: 'invoices', include_deleted: true }, headers);
  const again = await post(key, '{ "include_deleted" : true,\n"resource":"invoices" }', {
    'idempotency-key': '"k"',
  });
  expect(first.headers.get('idempotency-replayed')).toBeNull();
  expect(again.headers.get('idempotency-replayed')).toBe('true');
  expect(again.status).toBe(202);
  expect(again.text).toBe(first.text);
  expect(again.headers.get('location')).toBe(first.headers.get('location'));
  expect(await outboxOf(api, first.json.id)).toEqual(['ExtractExport', 'JobCreated']);
});

test('the same key with another body is refused, and from another account is another job', async () => {
  const mine = await api.account();
  const other = await api.account();
  const headers = { 'idempotency-key': 'shared' };
  const first = await post(mine.key, { resource: 'invoices' }, headers);
  expect((await post(mine.key, { resource: 'customers' }, headers)).status).toBe(422);
  const theirs = await post(other.key, { resource: 'invoices' }, headers);
  expect(theirs.status).toBe(202);
  expect(theirs.json.id).not.toBe(first.json.id);
});

test('a key does not expire before its export has ended, and then is kept for a week', async () => {
  const { key } = await api.account();
  const submit = async () =>
    (await post(key, { resource: 'invoices' }, { 'idempotency-key': 'waits' })).json.id;
  const later = (days: number) =>
    api.pool.query(
      `update idempotency_keys set expires_at = expires_at - make_interval(days => $1) where key = 'waits'`,
      [days],
    );
  const first = await submit();
  await later(40);
  expect(await submit()).toBe(first);
  await api.call('POST', `/exports/${first}/cancel`, { key });
  await later(6);
  expect(await submit()).toBe(first);
  await later(2);
  expect(await submit()).not.toBe(first);
});

test('two at the same moment make one job', async () => {
  const { key } = await api.account();
  const answers = await Promise.all(
    Array.from({ length: 5 }, () => post(key, { resource: 'invoices' }, { 'idempotency-key': 'parallel' })),
  );
  const accepted = answers.filter(({ status }) => status === 202);
  expect(new Set(accepted.map(({ json }) => json.id)).size).toBe(1);
  expect(answers.every(({ status }) => status === 202 || status === 409)).toBe(true);
  expect((await api.call('GET', '/exports', { key })).json.data).toHaveLength(1);
});

test('while the first is in flight a second is told to come again', async () => {
  const { key, id } = await api.account();
  const client = await api.pool.connect();
  try {
    await client.query('begin');
    await client.query(
      `insert into idempotency_keys (account_id, route, key, request_hash, expires_at)
       values ($1, 'POST /exports', 'slow', '', now() + interval '1 day')`,
      [id],
    );
    const second = await post(key, { resource: 'invoices' }, { 'idempotency-key': 'slow' });
    expect(second.status).toBe(409);
    expect(second.headers.get('retry-after')).toBe('1');
  } finally {
    await client.query('rollback');
    client.release();
  }
  // The first one died without a trace: the key is free.
  expect((await post(key, { resource: 'invoices' }, { 'idempotency-key': 'slow' })).status).toBe(202);
});

test('a request that failed leaves its key unused', async () => {
  const { key } = await api.account();
  const headers = { 'idempotency-key': 'retry' };
  expect((await post(key, { resource: 'nope' }, headers)).status).toBe(422);
  const good = await post(key, { resource: 'invoices' }, headers);
  expect(good.status).toBe(202);
  expect(good.headers.get('idempotency-replayed')).toBeNull();
});

test('a key that is no key is 400', async () => {
  const { key } = await api.account();
  for (const bad of ['', '""', '   ', 'x'.repeat(256), 'a\tb']) {
    expect((await post(key, { resource: 'invoices' }, { 'idempotency-key': bad })).status).toBe(400);
  }
});

test('exports are listed newest first, by status, resource and format too', async () => {
  const { key } = await api.account();
  const ids: string[] = [];
  for (let i = 0; i < 3; i++) ids.unshift((await post(key, { resource: 'invoices' })).json.id);
  await api.call('POST', `/exports/${ids[1]}/cancel`, { key });
  const idsOf = async (query: string) =>
    (await api.call('GET', `/exports?${query}`, { key })).json.data.map(({ id }: { id: string }) => id);
  expect(await idsOf('')).toEqual(ids);
  expect(await idsOf('status=cancelled')).toEqual([ids[1]]);
  const { json: customers } = await post(key, { resources: ['customers', 'line_items'] });
  expect(await idsOf('resource=line_items')).toEqual([customers.id]);
  expect(await idsOf('resource=invoices&status=pending')).toEqual([ids[0], ids[2]]);
  await api.pool.query('delete from exports where id = $1', [customers.id]);
  const { json: parquet } = await post(key, { resource: 'invoices', format: 'parquet' });
  expect(await idsOf('format=parquet')).toEqual([parquet.id]);
  expect(await idsOf('format=jsonl&status=pending')).toEqual([ids[0], ids[2]]);
  ids.unshift(parquet.id);
  const page = await api.call('GET', '/exports?limit=1', { key });
  expect(page.json.has_more).toBe(true);
  expect(await idsOf(`limit=3&cursor=${page.json.next_cursor}`)).toEqual(ids.slice(1));
});

test('an export of changes or of a past time is refused without what the feed has recorded', async () => {
  const { key } = await api.account();
  const { json: base } = await post(key, { resource: 'invoices' });
  const changes = (id: string) => post(key, { resource: 'invoices', changes_since: id });
  expect(await changes('exp_unknown')).toMatchObject({ status: 404 });
  expect(await changes(base.id)).toMatchObject({ status: 409, json: { export_status: 'pending' } });
  const { status, json } = await post(key, { resource: 'invoices', as_of: new Date().toISOString() });
  expect({ status, errors: json.errors }).toMatchObject({
    status: 422,
    errors: [{ pointer: '/as_of', detail: expect.stringContaining('recording') }],
  });
});
