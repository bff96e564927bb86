import { afterAll, beforeAll, expect, test } from 'vitest';
import { MAX_SHOWN_JOBS } from '../../../services/api/account/store.ts';
import { ADMIN_KEY, openTestApi, type TestApi } from '../../support/api-server.ts';

let api: TestApi;
beforeAll(async () => {
  api = await openTestApi({ maxQueuedExports: 9, accountLimits: { requestsPerMinute: 5_000 } });
});
afterAll(() => api[Symbol.asyncDispose]());

const overview = (key: string, query = '') => api.call('GET', `/account${query}`, { key });

test('a new account sees its limits and its key, and nothing that runs', async () => {
  const account = await api.account();
  const { status, json } = await overview(account.key);
  expect(status).toBe(200);
  expect(json).toEqual({
    id: account.id,
    name: expect.any(String),
    created_at: expect.any(String),
    key: { id: expect.stringMatching(/^key_/), name: null, scopes: expect.arrayContaining(['bulk:read']) },
    limits: {
      max_running_exports: 3,
      max_queued_exports: 9,
      max_running_bulk_operations: 3,
      max_queued_bulk_operations: 3,
      max_bulk_ids: 10_000,
      max_bulk_file_bytes: 268_435_456,
      max_webhooks: 50,
      max_body_bytes: 10_000,
      requests_per_second: 100_000,
      requests_per_minute: 5_000,
      max_open_requests: 1_000,
      max_downloads: 16,
      event_retention_days: 30,
    },
    bulk_quota: { limit: null, used: 0, remaining: null, resets_at: expect.any(String), period: 'month' },
    exports: { running: 0, queued: 0, paused: 0, jobs: [] },
    bulk_operations: { running: 0, queued: 0, paused: 0, jobs: [] },
    webhooks: { active: 0, paused: 0, disabled: 0 },
    feed: { position: null, age_seconds: null, stalled: null, set_aside: [] },
  });
});

test('jobs are counted, and shown in the order of their queue; others’ and ended ones are not', async () => {
  const account = await api.account();
  const other = await api.account();
  const ids: string[] = [];
  for (const { key } of [account, other, account, account, account]) {
    const { json } = await api.call('POST', '/exports', { key, body: { resource: 'invoices' } });
    if (key === account.key) ids.push(json.id);
  }
  const arrange = (status: string, phase: string, id: string | undefined) =>
    api.pool.query(`/* arranged */ update exports set status = $2, phase = $3 where id = $1`, [
      id,
      status,
      phase,
    ]);
  await arrange('completed', 'done', ids[0]);
  await arrange('running', 'extracting', ids[2]);
  await api.pool.query(
    `insert into bulk_jobs (id, account_id, resource, operation, request, status, estimated, admitted_at, pause_reason, created_at)
     select id, $1, 'invoices', 'void', '{}', status, 1, case when is_admitted then now() end,
       case when status = 'paused' then 'requested' end, now() + place * interval '1 s'
     from (values ('blk_a', 'running', true, 1), ('blk_b', 'pending', true, 2), ('blk_c', 'paused', true, 3), ('blk_e', 'pending', false, 5),
       ('blk_d', 'pending', false, 4), ('blk_f', 'completed', true, 6)) v (id, status, is_admitted, place)`,
    [account.id],
  );
  await api.pool.query(`update accounts set bulk_quota = 100, bulk_quota_period = '"day"' where id = $1`, [
    account.id,
  ]);
  const shown = (await overview(account.key)).json;
  expect(shown.exports).toMatchObject({
    running: 1,
    queued: 2,
    jobs: [
      { id: ids[2], status: 'running' },
      { id: ids[1], status: 'pending', queue_position: 1 },
      { id: ids[3], status: 'pending', queue_position: 2 },
    ],
  });
  expect(shown.exports.jobs[0]).not.toHaveProperty('queue_position');
  expect(shown.bulk_operations).toMatchObject({
    running: 2,
    queued: 2,
    paused: 1,
    jobs: [
      { id: 'blk_a' },
      { id: 'blk_b', status: 'pending' },
      { id: 'blk_c', status: 'paused' },
      { id: 'blk_d', queue_position: 1 },
      { id: 'blk_e', queue_position: 2 },
    ],
  });
  // As the jobs' own routes say.
  const [, second] = shown.exports.jobs;
  expect((await api.call('GET', `/exports/${second.id}`, { key: account.key })).json.queue_position).toBe(1);
  expect((await api.call('GET', '/bulk/operations/blk_e', { key: account.key })).json.queue_position).toBe(2);
  const midnight = new Date(new Date().setUTCHours(24, 0, 0, 0)).toISOString();
  expect(shown.bulk_quota).toEqual({
    limit: 100,
    used: 0,
    remaining: 100,
    resets_at: midnight,
    period: 'day',
  });
  expect((await overview(ADMIN_KEY, `?account_id=${account.id}`)).json).toEqual({ ...shown, key: null });
  expect((await overview(other.key)).json.exports).toMatchObject({
    queued: 1,
    jobs: [{ queue_position: 1 }],
  });
});

test('thousands of jobs are counted, some are shown, and an index leads to them', async () => {
  const { id, key } = await api.account();
  const { id: busyId, key: busyKey } = await api.account();
  const { json: job } = await api.call('POST', '/exports', { key: busyKey, body: { resource: 'invoices' } });
  const stored = await api.pool.query<{ request: unknown }>('select request from exports where id = $1', [
    job.id,
  ]);
  await api.pool.query(
    `insert into exports (id, account_id, request, resources, status, phase, created_at)
     select 'exp_' || n, case when n <= 300 or n > 27000 then $1 else $2 end, $3, '{invoices}',
       case when n <= 6000 then 'pending' else 'completed' end, case when n <= 6000 then 'queued' else 'done' end,
       now() + n * interval '1 ms' from generate_series(1, 30000) n`,
    [id, busyId, stored.rows[0]?.request],
  );
  await api.pool.query('analyze exports');
  const { exports } = (await overview(key)).json;
  expect(exports).toMatchObject({ running: 0, queued: 300 });
  expect(exports.jobs).toHaveLength(MAX_SHOWN_JOBS);
  expect(exports.jobs.at(-1)).toMatchObject({ id: 'exp_100', queue_position: 100 });
  const pending = await api.call('GET', '/exports?status=pending&limit=1', { key });
  expect(pending.json.data).toMatchObject([{ id: 'exp_300', queue_position: 300 }]);
  const { rows } = await api.pool.query<{ 'QUERY PLAN': string }>(
    `explain select from exports where account_id = $1 and status in ('pending', 'running', 'cancelling')`,
    [id],
  );
  expect(rows.map((row) => row['QUERY PLAN']).join('\n')).toContain('exports_active_of_account_idx');
});

test('a key sees the parts that its scopes allow, and the operator names an account', async () => {
  const { key } = await api.account(['exports:write']);
  expect((await overview(key)).json).toMatchObject({
    key: { scopes: ['exports:write'] },
    bulk_quota: null,
    exports: null,
    bulk_operations: null,
    webhooks: null,
    feed: null,
  });
  const bulkReader = await api.account(['bulk:read']);
  expect((await overview(bulkReader.key)).json).toMatchObject({ bulk_quota: { used: 0 }, exports: null });
  const reader = await api.account(['events:read']);
  expect((await overview(reader.key)).json).toMatchObject({
    bulk_quota: null,
    exports: null,
    feed: { stalled: null },
  });
  expect((await overview(reader.key, '?account_id=acct_other')).status).toBe(422);
  for (const query of ['', '?account_id=*', '?account_id=acct_none']) {
    expect((await overview(ADMIN_KEY, query)).status).toBe(422);
  }
  expect((await api.call('GET', '/account')).status).toBe(401);
});

test('the feed shows where it stands for the account, and whether it moves', async () => {
  const { id, key } = await api.account(['events:read']);
  await api.pool.query(`create table tandem.events_all partition of tandem.events default`);
  await api.pool.query(
    `insert into events (commit_lsn, idx, account_id, xid, type, resource, record_key, committed_at, payload)
     select '0/A0', n, $1, 1, 'invoice.created', 'invoices', '["1"]', now(), '{}' from generate_series(0, 3) n`,
    [id],
  );
  await api.pool.query(
    `insert into feed_state (settled_lsn, passed_lsn, system_id, timeline, updated_at) values ('0/A0', '0/A0', '1', 1, now() - interval '1 h')`,
  );
  await api.pool.query(`update feed_stall set reason = 'not_moving', detail = 'x', since = now()`);
  const { feed } = (await overview(key)).json;
  expect(feed).toMatchObject({
    position: '00000000000000A0-0000000003',
    stalled: { reason: 'not_moving', since: expect.any(String) },
  });
  expect(feed.age_seconds).toBeGreaterThan(3_590);
});

test('the operator names the account, and a customer can not', async () => {
  const account = await api.account();
  const { key } = await api.account();
  const post = (body: unknown, by = ADMIN_KEY) => api.call('POST', '/webhooks', { key: by, body });
  const url = 'https://example.com/hook';
  expect((await post({ url })).json.errors).toEqual([
    { pointer: 'account_id', detail: 'the operator must give an account' },
  ]);
  expect((await post({ url, account_id: 'acct_none' })).status).toBe(422);
  expect((await post({ url, account_id: '*' })).status).toBe(422);
  expect((await post({ url, account_id: account.id })).json.account_id).toBe(account.id);
  expect((await post({ url, account_id: account.id }, key)).status).toBe(422);
  const listed = await api.call('GET', `/webhooks?account_id=${account.id}`, { key: ADMIN_KEY });
  expect(listed.json.data).toHaveLength(1);
  // Two accounts in one request: neither is guessed.
  const other = await api.account();
  const [named, both] = [`/webhooks?account_id=${other.id}`, `/webhooks?account_id=${account.id}`];
  const contrary = await api.call('POST', named, { key: ADMIN_KEY, body: { url, account_id: account.id } });
  expect(contrary.json.errors).toEqual([
    { pointer: '/account_id', detail: 'must be the account that the query names' },
  ]);
  const agreed = await api.call('POST', both, { key: ADMIN_KEY, body: { url, account_id: account.id } });
  expect(agreed.json.account_id).toBe(account.id);
});

test('one account is one source_id', async () => {
  const body = { name: 'One', source_id: 'the same' };
  const post = () => api.call('POST', '/admin/accounts', { key: ADMIN_KEY, body });
  const first = await post();
  expect(first.status).toBe(201);
  expect(first.headers.get('location')).toBe(`/admin/accounts/${first.json.id}`);
  expect(await post()).toMatchObject({ status: 409, json: { errors: [{ pointer: '/source_id' }] } });
});

test('an account’s name and limits can be changed, within bounds', async () => {
  const { id } = await api.account();
  const patch = (body: unknown) => api.call('PATCH', `/admin/accounts/${id}`, { key: ADMIN_KEY, body });
  expect((await patch({ limits: { max_running_exports: 5 } })).json.limits).toEqual({
    max_running_exports: 5,
    max_running_bulk_operations: 3,
    bulk_quota: { items: null, period: 'month' },
  });
  expect((await patch({ name: 'New' })).json).toMatchObject({
    name: 'New',
    limits: { max_running_exports: 5 },
  });
  expect((await patch({ limits: { max_running_exports: 11 } })).json.errors[0].pointer).toBe(
    '/limits/max_running_exports',
  );
  expect((await api.call('PATCH', '/admin/accounts/acct_none', { key: ADMIN_KEY, body: {} })).status).toBe(
    404,
  );
});

test('a quota has a period of the calendar or of a length, each part is changed by itself, and bounds are held', async () => {
  const { id } = await api.account();
  const patch = (limits: unknown) =>
    api.call('PATCH', `/admin/accounts/${id}`, { key: ADMIN_KEY, body: { limits } });
  const quotaAfter = async (limits: unknown) => (await patch(limits)).json.limits.bulk_quota;
  expect(await quotaAfter({ bulk_quota: { items: 9 } })).toEqual({ items: 9, period: 'month' });
  expect(await quotaAfter({ bulk_quota: { period: 'week' } })).toEqual({ items: 9, period: 'week' });
  const fortnight = { seconds: 1_209_600, starting_at: '2026-11-20T08:00:00+02:00' };
  expect(await quotaAfter({ bulk_quota: { period: fortnight } })).toEqual({
    items: 9,
    period: { seconds: 1_209_600, starting_at: '2026-11-20T06:00:00.000Z' },
  });
  expect(await quotaAfter({ bulk_quota: { items: null, period: { seconds: 60 } } })).toEqual({
    items: null,
    period: { seconds: 60, starting_at: '1970-01-01T00:00:00.000Z' },
  });
  expect(await quotaAfter({ bulk_items_per_month: 7 })).toEqual({ items: 7, period: 'month' });
  const pointerOf = async (limits: unknown) => (await patch(limits)).json.errors[0].pointer;
  const refused = [
    'year',
    null,
    60,
    {},
    { seconds: 0 },
    { seconds: 1.5 },
    { seconds: 366 * 86_400 + 1 },
    { seconds: 60, starting_at: '2026-11-20' },
    { seconds: 60, starting_at: '2026-11-20T08:00:00.5Z' },
    { seconds: 60, colour: 'red' },
  ];
  for (const period of refused) {
    expect(await pointerOf({ bulk_quota: { period } })).toMatch(/^\/limits\/bulk_quota\/period/);
  }
  expect(await pointerOf({ bulk_quota: { items: -1 } })).toBe('/limits/bulk_quota/items');
  expect(await pointerOf({ bulk_quota: { items: 1 }, bulk_items_per_month: 1 })).toBe(
    '/limits/bulk_items_per_month',
  );
  expect(await quotaAfter({})).toEqual({ items: 7, period: 'month' });
});
