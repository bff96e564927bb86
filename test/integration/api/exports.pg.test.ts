import { afterAll, beforeAll, expect, test } from 'vitest';
import { recordChunksWritten } from '../../../shared/control/chunks/chunk-attempts.ts';
import { claimChunks, finishChunks, releaseChunks } from '../../../shared/control/chunks/claim-chunk.ts';
import { ADMIN_KEY, openTestApi, type TestApi } from '../../support/api-server.ts';
import { completeExport } from '../../support/complete-export.ts';

let api: TestApi;
beforeAll(async () => {
  api = await openTestApi();
  await api.pool.query(`
    create schema documint;
    create table documint.customers (id bigint primary key, account_id text, name text, created_at timestamptz, deleted_at timestamptz);
    create table documint.invoices (id bigint primary key, account_id text, memo text, internal_notes text,
      created_at timestamptz, due_on date, deleted_at timestamptz);
    create table documint.line_items (id bigint primary key, account_id text, created_at timestamptz, deleted_at timestamptz);
    insert into documint.invoices select n, 'source_1', 'memo ' || n, 'secret', now(), current_date, null
      from generate_series(1, 1000) n;
    analyze documint.customers, documint.invoices, documint.line_items`);
});
afterAll(() => api[Symbol.asyncDispose]());

const post = (key: string, body: unknown, headers: Record<string, string> = {}) =>
  api.call('POST', '/exports', { key, body, headers });

async function outboxOf(id: string): Promise<string[]> {
  const { rows } = await api.pool.query<{ type: string }>(
    'select type from outbox where key = $1 order by id',
    [id],
  );
  return rows.map(({ type }) => type);
}

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
  expect(await outboxOf(json.id)).toEqual(['ExtractExport', 'JobCreated']);
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
  expect(await outboxOf(first.json.id)).toEqual(['ExtractExport', 'JobCreated']);
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

test('a full queue is told with the jobs in it, and is one account’s alone', async () => {
  const mine = await api.account();
  const other = await api.account();
  const ids: string[] = [];
  for (let i = 0; i < 3; i++) ids.push((await post(mine.key, { resource: 'invoices' })).json.id);
  const refused = await post(mine.key, { resource: 'invoices' });
  expect(refused.status).toBe(429);
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(refused.json.active_jobs.map(({ id }: { id: string }) => id)).toEqual(ids);
  const estimate = async ({ key }: { key: string }) =>
    (await post(key, { resource: 'invoices', dry_run: true })).json.refusal;
  expect(await estimate(mine)).toEqual({ code: 'too_many', detail: refused.json.detail });
  expect(await estimate(other)).toBeNull();
  expect((await post(other.key, { resource: 'invoices' })).json.queue_position).toBe(1);
  expect((await api.call('GET', `/exports/${ids[2]}`, { key: mine.key })).json.queue_position).toBe(3);
});

test('a pending export is cancelled at once, and again with the same answer', async () => {
  const { key } = await api.account();
  const { json } = await post(key, { resource: 'invoices' });
  const cancel = () => api.call('POST', `/exports/${json.id}/cancel`, { key });
  const first = await cancel();
  expect(first).toMatchObject({ status: 202, json: { status: 'cancelled', phase: 'done' } });
  expect((await cancel()).json).toEqual(first.json);
  expect(await outboxOf(json.id)).toEqual(['ExtractExport', 'JobCreated', 'JobCancelled']);
});

test('a running export is told to stop, once', async () => {
  const { key } = await api.account();
  const { json } = await post(key, { resource: 'invoices' });
  await api.pool.query(
    `/* arranged */ update exports set status = 'running', phase = 'extracting' where id = $1`,
    [json.id],
  );
  const cancel = () => api.call('POST', `/exports/${json.id}/cancel`, { key });
  expect((await cancel()).json.status).toBe('cancelling');
  expect((await cancel()).json.status).toBe('cancelling');
  expect(await outboxOf(json.id)).toEqual(['ExtractExport', 'JobCreated', 'CancelJob']);
});

test('an export is paused and resumed, and its account is told until when', async () => {
  const { key, id: accountId } = await api.account();
  const { json } = await post(key, { resource: 'invoices' });
  const ask = (verb: string) => api.call('POST', `/exports/${json.id}/${verb}`, { key });
  const paused = await ask('pause');
  expect(paused).toMatchObject({
    status: 202,
    json: { status: 'paused', phase: 'queued', pause_expires_at: expect.any(String), eta_seconds: null },
  });
  expect(paused.json.queue_position).toBeUndefined();
  expect(paused.headers.get('location')).toBe(`/exports/${json.id}`);
  const leftMs = Date.parse(paused.json.pause_expires_at) - Date.now();
  expect(leftMs / 86_400_000).toBeCloseTo(7, 1);
  expect((await ask('pause')).json).toEqual(paused.json);
  expect((await api.call('GET', '/exports?status=paused', { key })).json.data).toEqual([paused.json]);
  expect((await api.call('GET', '/account', { key })).json.exports).toMatchObject({
    running: 0,
    queued: 0,
    paused: 1,
    jobs: [{ id: json.id, status: 'paused' }],
  });
  expect((await api.call('DELETE', `/exports/${json.id}`, { key })).status).toBe(409);
  expect((await ask('resume')).json).toEqual(json);
  expect((await ask('resume')).json).toEqual(json);
  expect(await outboxOf(json.id)).toEqual(['ExtractExport', 'JobCreated', 'ExtractExport']);
  await ask('pause');
  expect((await ask('cancel')).json).toMatchObject({ status: 'cancelled', phase: 'done' });
  for (const verb of ['pause', 'resume']) {
    expect(await ask(verb)).toMatchObject({ status: 409, json: { export_status: 'cancelled' } });
  }
  const other = await api.account();
  for (const verb of ['pause', 'resume']) {
    const refused = await api.call('POST', `/exports/${json.id}/${verb}`, { key: other.key });
    expect(refused.status).toBe(404);
  }
  const { rows } = await api.pool.query<{ action: string }>(
    'select action from audit_log where account_id = $1 and subject_id = $2 order by id',
    [accountId, json.id],
  );
  expect(rows.map(({ action }) => action)).toEqual(
    ['created', 'paused', 'paused', 'resumed', 'resumed', 'paused', 'cancelled'].map(
      (verb) => `export.${verb}`,
    ),
  );
});

test('an export under a single snapshot says why it can not be paused', async () => {
  const { key } = await api.account();
  const { json } = await post(key, { resource: 'invoices' });
  await api.pool.query(
    `/* arranged */ update exports set status = 'running', phase = 'extracting', snapshot_kind = 'single', started_at = now(),
       snapshot = jsonb_build_object('taken_at', now(), 'lsn', '0/1', 'xmin', '1', 'xmax', '1', 'xip', '[]'::jsonb)
     where id = $1`,
    [json.id],
  );
  expect(await api.call('POST', `/exports/${json.id}/pause`, { key })).toMatchObject({
    status: 409,
    json: { export_status: 'running', detail: expect.stringContaining('snapshot: chunked') },
  });
});

test('paused exports take places in the queue, so that their number has a limit', async () => {
  const { key } = await api.account();
  for (let i = 0; i < 3; i++) {
    const { json } = await post(key, { resource: 'invoices' });
    await api.call('POST', `/exports/${json.id}/pause`, { key });
  }
  expect((await post(key, { resource: 'invoices' })).status).toBe(429);
  expect((await post(key, { resource: 'invoices', dry_run: true })).json.refusal).toMatchObject({
    code: 'too_many',
  });
});

test('what has ended can not be cancelled, and what runs can not be deleted', async () => {
  const { key } = await api.account();
  const { json } = await post(key, { resource: 'invoices' });
  expect((await api.call('DELETE', `/exports/${json.id}`, { key })).status).toBe(409);
  await completeExport(api, json.id, 'x\n');
  const refused = await api.call('POST', `/exports/${json.id}/cancel`, { key });
  expect(refused).toMatchObject({ status: 409, json: { export_status: 'completed' } });
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

test('progress and time left follow the rows, once there is something to go on', async () => {
  const { key } = await api.account();
  const { json: job } = await post(key, { resource: 'invoices' });
  await api.pool.query(
    `/* arranged */ update exports set status = 'running', phase = 'extracting', rows_estimated = 100, rows_extracted = 60,
       rows_written = 40, started_at = now(), snapshot = jsonb_build_object('taken_at', now() - interval '10 s',
         'lsn', '0/1', 'xmin', '1', 'xmax', '1', 'xip', '[]'::jsonb) where id = $1`,
    [job.id],
  );
  const { json } = await api.call('GET', `/exports/${job.id}`, { key });
  expect(json).toMatchObject({ progress: 0.5, rows: { estimated: 100, extracted: 60, written: 40 } });
  expect(json.eta_seconds).toBeGreaterThanOrEqual(9);
  expect(json.eta_seconds).toBeLessThan(60);
});

test('progress never falls and the time left never grows, whoever asks, also when an export starts again', async () => {
  const { key } = await api.account();
  const { json: job } = await post(key, { resource: 'invoices' });
  const advance = (rows: number, secondsAgo: number) =>
    api.pool.query(
      `/* arranged */ update exports set status = 'running', phase = 'extracting', rows_estimated = 100, rows_extracted = $2,
         rows_written = $2, started_at = now(), snapshot = jsonb_build_object('taken_at', now() - make_interval(secs => $3),
         'lsn', '0/1', 'xmin', '1', 'xmax', '1', 'xip', '[]'::jsonb) where id = $1`,
      [job.id, rows, secondsAgo],
    );
  const shown = async () => {
    const one = (await api.call('GET', `/exports/${job.id}`, { key })).json;
    const [listed] = (await api.call('GET', '/exports', { key })).json.data;
    expect([listed.progress, listed.eta_seconds]).toEqual([one.progress, one.eta_seconds]);
    return [one.progress, one.eta_seconds];
  };
  await advance(50, 20.5);
  expect(await shown()).toEqual([0.5, 25]);
  // A little slower, then much slower, then a new snapshot, then fast.
  await advance(50, 26);
  expect(await shown()).toEqual([0.5, 25]);
  await advance(52, 100);
  expect(await shown()).toEqual([0.52, null]);
  await advance(0, 0);
  expect(await shown()).toEqual([0.52, null]);
  await advance(60, 12);
  expect(await shown()).toEqual([0.6, 9]);

  // A request does not wait for whoever reports a chunk at this moment.
  await advance(70, 12);
  const client = await api.pool.connect();
  try {
    await client.query('begin');
    await client.query('select from exports where id = $1 for update', [job.id]);
    expect((await shown())[0]).toBe(0.7);
    await client.query('rollback');
  } finally {
    client.release();
  }
});

test('the chunks of an export show how far each is, a page at a time, to their own account', async () => {
  const { key } = await api.account();
  const { json: job } = await post(key, { resources: ['invoices', 'customers'] });
  const chunks = async (query = '', by = key) =>
    api.call('GET', `/exports/${job.id}/chunks${query}`, { key: by });
  const none = { planned: 0, reading: 0, extracted: 0, written: 0 };
  expect((await chunks()).json).toEqual({
    data: [],
    has_more: false,
    next_cursor: null,
    counts: none,
    resources: [],
    is_planned: false,
  });
  await api.pool.query(
    `/* arranged */ update exports set status = 'running', phase = 'extracting', run_attempt = 1, planned_at = now(),
       snapshot = '{"xmin": "1", "xmax": "1", "xip": []}' where id = $1`,
    [job.id],
  );
  await api.pool.query(
    `insert into export_chunks (export_id, resource, chunk, run_attempt, state, snapshot_name, rows_planned)
     select $1, resource, chunk, 1, 'planned', 's', 10 from unnest(array['invoices', 'customers']) resource, generate_series(0, 2) chunk`,
    [job.id],
  );
  // What the services do to them: two claimed, one of them read and written, one given back.
  const claim = () => claimChunks(api.pool, 'reader', { maxChunks: 1, maxRows: 1 });
  const [first, second] = [await claim(), await claim()];
  if (first === undefined || second === undefined) throw new Error('no chunk is left');
  expect(
    await finishChunks(api.pool, first, [{ rows: 10, recordKeys: null, readLsn: null, seen: null }]),
  ).toBe(true);
  expect((await chunks('?state=extracted')).json.data).toMatchObject([{ chunk: 0, written_at: null }]);
  const [{ exportId, resource, chunk, attempt }] = first;
  const part = { path: 'p', rows: 10, bytes: 100, schemaId: 1 };
  await recordChunksWritten(api.pool, [{ chunkAttempt: { exportId, resource, chunk, attempt }, part }]);
  const customers = (await chunks('?resource=customers')).json;
  expect(customers).toEqual({
    data: [
      {
        resource: 'customers',
        chunk: 0,
        state: 'written',
        rows: { planned: 10, extracted: 10, written: 10 },
        attempts: 1,
        started_at: expect.any(String),
        extracted_at: expect.any(String),
        written_at: expect.any(String),
      },
      expect.objectContaining({
        chunk: 1,
        state: 'reading',
        attempts: 1,
        started_at: expect.any(String),
        extracted_at: null,
      }),
      expect.objectContaining({
        chunk: 2,
        state: 'planned',
        attempts: 0,
        started_at: null,
        written_at: null,
      }),
    ],
    has_more: false,
    next_cursor: null,
    counts: { ...none, planned: 4, reading: 1, written: 1 },
    resources: [
      {
        resource: 'customers',
        counts: { ...none, planned: 1, reading: 1, written: 1 },
        rows: { planned: 30, extracted: 10, written: 10 },
      },
      {
        resource: 'invoices',
        counts: { ...none, planned: 3 },
        rows: { planned: 30, extracted: 0, written: 0 },
      },
    ],
    is_planned: true,
  });
  await releaseChunks(api.pool, second, { delayMs: 0, isCounted: true });
  const page = (await chunks('?limit=4')).json;
  expect(page).toMatchObject({
    has_more: true,
    data: [{}, { state: 'planned', attempts: 1, started_at: null }, {}, {}],
  });
  const rest = (await chunks(`?limit=4&cursor=${page.next_cursor}`)).json;
  expect(rest).toMatchObject({ has_more: false, data: [{ resource: 'invoices', chunk: 1 }, { chunk: 2 }] });
  // A cursor holds for its filter and its export; other accounts and keys without the scope see nothing.
  expect((await chunks(`?state=planned&cursor=${page.next_cursor}`)).status).toBe(422);
  expect((await chunks('?state=done')).status).toBe(422);
  expect((await chunks('', (await api.account()).key)).status).toBe(404);
  expect((await chunks('', (await api.account(['exports:write'])).key)).status).toBe(403);
  expect((await chunks('', ADMIN_KEY)).json.counts).toEqual(page.counts);
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
