import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { resealSecrets } from '../../services/api/secret-resealer.ts';
import { eventId, formatPosition } from '../../shared/domain/position.ts';
import { silentLog } from '../../shared/runtime/log.ts';
import { createSecretBox, WEBHOOK_SECRETS } from '../../shared/runtime/secret-box.ts';
import { ADMIN_KEY, openTestApi, SECRET_KEY, type TestApi } from '../support/api-server.ts';
import { waitFor } from '../support/wait-for.ts';

const URL = 'https://example.com/hook';

let api: TestApi;
let account: { id: string; key: string; sourceId: string };
beforeAll(async () => {
  api = await openTestApi();
  await api.pool.query('create table events_all partition of events default');
});
afterAll(() => api[Symbol.asyncDispose]());
beforeEach(async () => {
  await api.pool.query('truncate events; delete from feed_state');
  account = await api.account();
});

interface EventFacts {
  lsn: number;
  index?: number;
  xid?: number;
  resource?: string;
  committedAt?: string;
  payload?: string;
}

/** Records an event as the dispatcher would. */
async function record({
  lsn,
  index = 0,
  xid = 100,
  resource = 'invoices',
  committedAt,
  payload,
}: EventFacts) {
  const id = eventId({ commitLsn: BigInt(lsn), index });
  const text = payload ?? `{"id":"${id}","resource":"${resource}"}`;
  await api.pool.query(
    `insert into events (commit_lsn, idx, account_id, xid, type, resource, record_key, committed_at, payload)
     values ($1, $2, $3, $4, 'invoice.updated', $5, '["1"]', coalesce($6::timestamptz, now()), $7)`,
    [`0/${lsn.toString(16)}`, index, account.id, xid, resource, committedAt ?? null, text],
  );
  return id;
}

async function settle(lsn: number): Promise<void> {
  await api.pool.query(
    `insert into feed_state (settled_lsn, passed_lsn, system_id, timeline, updated_at) values ($1, $1, '1', 1, now())`,
    [`0/${lsn.toString(16)}`],
  );
}

/** A completed export with start 0x10, seal 0x40, and a snapshot that holds every xid below 200 but 150. */
async function completedExport(takenAt = new Date().toISOString()): Promise<string> {
  const { json } = await api.call('POST', '/exports', { key: account.key, body: { resource: 'invoices' } });
  await api.pool.query(
    `update exports set status = 'completed', phase = 'done', start_lsn = '0/10', sealed_lsn = '0/40',
       snapshot = jsonb_build_object('taken_at', $2::text, 'lsn', '0/30', 'xmin', '150', 'xmax', '200', 'xip', '["150"]'::jsonb)
     where id = $1`,
    [json.id, takenAt],
  );
  return json.id;
}

const subscribe = (body: Record<string, unknown>, headers: Record<string, string> = {}) =>
  api.call('POST', '/webhooks', { key: account.key, body: { url: URL, ...body }, headers });

async function storedStart(id: string) {
  const { rows } = await api.pool.query(
    `select cursor_lsn::text as lsn, cursor_idx as index, handoff_snapshot as snapshot, handoff_until_lsn::text as until
     from webhooks where id = $1`,
    [id],
  );
  return rows[0];
}

const pull = (query: string) => api.call('GET', `/events?${query}`, { key: account.key });
const idsOf = ({ json }: { json: { data: { id: string }[] } }) => json.data.map(({ id }) => id);
const LAST = 2 ** 31 - 1;

test('an endpoint’s secret is shown once and kept sealed', async () => {
  const { status, headers, json } = await subscribe({});
  expect(status).toBe(201);
  expect(headers.get('location')).toBe(`/webhooks/${json.id}`);
  expect(json).toMatchObject({
    status: 'active',
    events: ['*'],
    start: 'now',
    max_in_flight: 50,
    secret_count: 1,
  });
  expect(Buffer.from(json.secret.slice('whsec_'.length), 'base64')).toHaveLength(32);
  const { rows } = await api.pool.query('select secrets from webhooks where id = $1', [json.id]);
  expect(JSON.stringify(rows)).not.toContain(json.secret.slice(6, 20));
  expect(api.box.open(rows[0].secrets[0].ciphertext)).toBe(json.secret);
  expect((await api.call('GET', `/webhooks/${json.id}`, { key: account.key })).text).not.toContain('whsec_');
});

test('a retried creation gives the same endpoint and the same secret, which lies nowhere in the clear', async () => {
  const headers = { 'idempotency-key': 'hook' };
  const first = await subscribe({}, headers);
  const again = await subscribe({}, headers);
  expect(again.text).toBe(first.text);
  const { rows } = await api.pool.query('select response from idempotency_keys where account_id = $1', [
    account.id,
  ]);
  expect(JSON.stringify(rows)).not.toContain('whsec_');
});

test('URLs that deliveries must not reach are refused at creation and at change', async () => {
  const { json } = await subscribe({});
  for (const url of [
    'http://example.com/',
    'https://127.0.0.1/',
    'https://[::1]/',
    'https://[::ffff:10.0.0.1]/',
    'https://[64:ff9b::a00:1]/',
    'https://[2002:a00:1::]/',
    'https://169.254.169.254/',
    'https://100.64.0.1/',
    'https://user@example.com/',
    'https://example.com:25/',
    'gopher://example.com/',
  ]) {
    expect(await subscribe({ url })).toMatchObject({ status: 422, json: { errors: [{ pointer: '/url' }] } });
    const patched = await api.call('PATCH', `/webhooks/${json.id}`, { key: account.key, body: { url } });
    expect(patched.status).toBe(422);
  }
});

test('start now leaves out only what every reader sees already', async () => {
  await record({ lsn: 0x60 });
  await settle(0x50);
  const { json } = await subscribe({ start: 'now' });
  expect(await storedStart(json.id)).toEqual({ lsn: '0/50', index: LAST, snapshot: null, until: null });
});

test('start after an export begins where the feed was settled, and leaves out what the snapshot holds until the seal', async () => {
  const id = await completedExport();
  const { status, json } = await subscribe({ start: { after_export: id } });
  expect(status).toBe(201);
  expect(await storedStart(json.id)).toEqual({
    lsn: '0/10',
    index: LAST,
    snapshot: '150:200:150',
    until: '0/40',
  });
});

test('a hand-off is refused from an export that is not completed, of another account, or too old', async () => {
  const { json: pending } = await api.call('POST', '/exports', {
    key: account.key,
    body: { resource: 'invoices' },
  });
  expect(await subscribe({ start: { after_export: pending.id } })).toMatchObject({
    status: 409,
    json: { export_status: 'pending' },
  });
  expect((await subscribe({ start: { after_export: 'exp_never' } })).status).toBe(404);
  const old = await completedExport(new Date(Date.now() - 40 * 86_400_000).toISOString());
  expect((await subscribe({ start: { after_export: old } })).json.errors[0].pointer).toBe(
    '/start/after_export',
  );
  const mine = await completedExport();
  account = await api.account();
  expect((await subscribe({ start: { after_export: mine } })).status).toBe(404);
});

test('start since a moment takes whole transactions from it on', async () => {
  await record({ lsn: 0x20, committedAt: new Date(Date.now() - 7_200_000).toISOString() });
  await record({ lsn: 0x30, index: 3, committedAt: new Date(Date.now() - 60_000).toISOString() });
  const since = new Date(Date.now() - 3_600_000).toISOString();
  const { json } = await subscribe({ start: { since } });
  expect(await storedStart(json.id)).toMatchObject({ lsn: '0/2F', index: LAST });
  const later = await subscribe({ start: { since: new Date().toISOString() } });
  expect(await storedStart(later.json.id)).toMatchObject({ lsn: '0/30', index: 3 });
});

test('start since something that is no longer kept, or not there yet, is refused', async () => {
  await record({ lsn: 0x30 });
  await settle(0x30);
  const pointer = async (since: string) => (await subscribe({ start: { since } })).json.errors?.[0].pointer;
  expect(await pointer(new Date(Date.now() - 31 * 86_400_000).toISOString())).toBe('/start/since');
  expect(await pointer('yesterday')).toBe('/start/since');
  expect(await pointer(formatPosition({ commitLsn: 0x1000n, index: 0 }))).toBe('/start/since');
  expect(await pointer(formatPosition({ commitLsn: 0x30n, index: 0 }))).toBeUndefined();
  // A young account has lost nothing yet, so that any earlier place will do.
  expect(await pointer(formatPosition({ commitLsn: 1n, index: 0 }))).toBeUndefined();
  await api.pool.query(`update accounts set created_at = now() - interval '60 days' where id = $1`, [
    account.id,
  ]);
  expect(await pointer(formatPosition({ commitLsn: 1n, index: 0 }))).toBe('/start/since');
});

test('an endpoint is changed in part, paused, resumed and deleted', async () => {
  const { json } = await subscribe({ description: 'first', headers: { authorization: 'Bearer x' } });
  const path = `/webhooks/${json.id}`;
  const call = (method: string, sub = '', body?: unknown) =>
    api.call(method, `${path}${sub}`, { key: account.key, ...(body === undefined ? {} : { body }) });
  const patched = await call('PATCH', '', { events: ['invoice.*'], description: null });
  expect(patched.json).toMatchObject({
    events: ['invoice.*'],
    description: null,
    url: URL,
    headers: { authorization: 'Bearer x' },
  });
  expect((await call('POST', '/pause')).json.status).toBe('paused');
  await api.pool.query(
    `update webhooks set status = 'disabled', status_reason = 'gone', failures_in_row = 9, failing_since = now()
     where id = $1`,
    [json.id],
  );
  expect((await call('POST', '/pause')).json.status).toBe('disabled');
  expect((await call('POST', '/resume')).json).toMatchObject({
    status: 'active',
    status_reason: null,
    failures_in_row: 0,
    failing_since: null,
  });
  expect((await call('DELETE')).status).toBe(204);
  expect((await call('GET')).status).toBe(404);
  expect((await call('DELETE')).status).toBe(404);
});

test('a pause is answered once the dispatcher that holds the endpoint has taken it over', async () => {
  const { json } = await subscribe({ rate_limit: 50 });
  expect(json.rate_limit).toBe(50);
  await api.pool.query(
    `insert into dispatchers values ('d1', now() + interval '1 hour') on conflict do nothing`,
  );
  await api.pool.query(
    `update webhooks set lease_owner = 'd1', applied_version = settings_version where id = $1`,
    [json.id],
  );
  let isAnswered = false;
  const paused = api.call('POST', `/webhooks/${json.id}/pause`, { key: account.key }).finally(() => {
    isAnswered = true;
  });
  await waitFor('the pause is stored', async () => {
    const { rows } = await api.pool.query('select status from webhooks where id = $1', [json.id]);
    return rows[0].status === 'paused';
  });
  expect(isAnswered).toBe(false);
  await api.pool.query('update webhooks set applied_version = settings_version where id = $1', [json.id]);
  expect((await paused).json.status).toBe('paused');
  // A dispatcher that died holds nothing.
  await api.pool.query(`update dispatchers set expires_at = now()`);
  expect((await api.call('DELETE', `/webhooks/${json.id}`, { key: account.key })).status).toBe(204);
});

test('a test that no dispatcher takes is taken back, and never sent', async () => {
  const { json } = await subscribe({});
  const refused = await api.call('POST', `/webhooks/${json.id}/test`, { key: account.key });
  expect(refused).toMatchObject({ status: 503, json: { code: 'unavailable' } });
  expect(refused.headers.get('retry-after')).toBe('5');
  expect((await api.pool.query('select from webhook_tests')).rowCount).toBe(0);
});

test('another account can neither see nor touch an endpoint', async () => {
  const { json } = await subscribe({});
  const other = await api.account();
  for (const [method, path] of [
    ['GET', ''],
    ['DELETE', ''],
    ['POST', '/pause'],
    ['POST', '/resume'],
    ['POST', '/rotate-secret'],
    ['POST', '/test'],
    ['GET', '/attempts'],
    ['GET', '/dead-letters'],
  ] as const) {
    expect((await api.call(method, `/webhooks/${json.id}${path}`, { key: other.key })).status).toBe(404);
  }
  expect((await api.call('GET', '/webhooks', { key: other.key })).json.data).toEqual([]);
  expect(
    (await api.call('GET', `/webhooks?account_id=${account.id}`, { key: ADMIN_KEY })).json.data,
  ).toHaveLength(1);
});

test('after a rotation the old secret signs for a day beside the new one', async () => {
  const { json } = await subscribe({});
  const rotate = () => api.call('POST', `/webhooks/${json.id}/rotate-secret`, { key: account.key });
  const rotated = await rotate();
  expect(rotated.status).toBe(200);
  expect(rotated.json.secret).not.toBe(json.secret);
  expect(rotated.json.secret_count).toBe(2);
  const secrets = async () => {
    const { rows } = await api.pool.query('select secrets from webhooks where id = $1', [json.id]);
    return rows[0].secrets as { ciphertext: string; expires_at: string | null }[];
  };
  const [newest, older] = await secrets();
  expect(api.box.open(newest?.ciphertext ?? '')).toBe(rotated.json.secret);
  expect(api.box.open(older?.ciphertext ?? '')).toBe(json.secret);
  expect(newest?.expires_at).toBeNull();
  const leftMs = Date.parse(older?.expires_at ?? '') - Date.now();
  expect(leftMs).toBeGreaterThan(23.9 * 3_600_000);
  expect(leftMs).toBeLessThan(24.1 * 3_600_000);
  for (let i = 0; i < 10; i++) await rotate();
  expect(await secrets()).toHaveLength(5);
});

test('headers are kept sealed, and those that an earlier version kept in clear are sealed too', async () => {
  const { json } = await subscribe({ headers: { 'x-token': 'hush' } });
  expect(json.headers).toEqual({ 'x-token': 'hush' });
  const stored = async () => {
    const { rows } = await api.pool.query('select headers from webhooks where id = $1', [json.id]);
    return rows[0].headers;
  };
  expect(JSON.parse(api.box.open(await stored()))).toEqual({ 'x-token': 'hush' });
  const patched = await api.call('PATCH', `/webhooks/${json.id}`, {
    key: account.key,
    body: { headers: { 'x-token': 'psst' } },
  });
  expect(patched.json.headers).toEqual({ 'x-token': 'psst' });
  expect(JSON.stringify(await stored())).not.toContain('psst');
  await api.pool.query('update webhooks set headers = $2 where id = $1', [json.id, { 'x-token': 'clear' }]);
  await resealSecrets({ pool: api.pool, box: api.box, log: silentLog });
  expect(JSON.parse(api.box.open(await stored()))).toEqual({ 'x-token': 'clear' });
});

test('secrets sealed with an earlier key are sealed anew, and those that open with none are left and told', async () => {
  const { json } = await subscribe({});
  const { json: rotated } = await api.call('POST', `/webhooks/${json.id}/rotate-secret`, {
    key: account.key,
  });
  const newKey = 'the next key, of thirty-two characters and more';
  const box = createSecretBox(newKey, WEBHOOK_SECRETS, [SECRET_KEY]);
  const { rows: before } = await api.pool.query('select count(*)::int as count from webhooks');
  expect(await resealSecrets({ pool: api.pool, box, log: silentLog })).toEqual({
    resealed: before[0].count,
    left: 0,
  });
  expect(await resealSecrets({ pool: api.pool, box, log: silentLog })).toEqual({ resealed: 0, left: 0 });
  const { rows } = await api.pool.query('select secrets from webhooks where id = $1', [json.id]);
  const alone = createSecretBox(newKey, WEBHOOK_SECRETS);
  const opened = rows[0].secrets.map(({ ciphertext }: { ciphertext: string }) => alone.open(ciphertext));
  expect(opened).toEqual([rotated.secret, json.secret]);
  expect(rows[0].secrets[0].expires_at).toBeNull();
  expect(rows[0].secrets[1].expires_at).toEqual(expect.any(String));
  const stranger = createSecretBox(`${newKey}?`, WEBHOOK_SECRETS);
  expect(await resealSecrets({ pool: api.pool, box: stranger, log: silentLog })).toEqual({
    resealed: 0,
    left: before[0].count,
  });
  // As it was, for the tests that follow.
  const back = createSecretBox(SECRET_KEY, WEBHOOK_SECRETS, [newKey]);
  await resealSecrets({ pool: api.pool, box: back, log: silentLog });
});

test('attempts are listed newest first, a page at a time', async () => {
  const { json } = await subscribe({});
  await api.pool.query(
    `insert into webhook_attempts (webhook_id, event_id, attempt, started_at, duration_ms, status, outcome, excerpt)
     select $1, 'evt_' || n, n, now(), 5, 500, 'failed', 'oops' from generate_series(8, 12) n`,
    [json.id],
  );
  const attempts: number[] = [];
  let path = `/webhooks/${json.id}/attempts?limit=2`;
  for (;;) {
    const page = await api.call('GET', path, { key: account.key });
    attempts.push(...page.json.data.map(({ attempt }: { attempt: number }) => attempt));
    if (!page.json.has_more) break;
    path = `/webhooks/${json.id}/attempts?limit=2&cursor=${page.json.next_cursor}`;
  }
  expect(attempts).toEqual([12, 11, 10, 9, 8]);
});

test('a page of the feed is bounded in bytes, and its reader comes by every event', async () => {
  const text = 'x'.repeat(3_500_000);
  const ids: string[] = [];
  for (const lsn of [0x20, 0x30, 0x40, 0x50]) {
    const payload = (id: string) => `{"id":"${id}","data":"${lsn === 0x40 ? text.repeat(3) : text}"}`;
    ids.push(await record({ lsn, payload: payload(eventId({ commitLsn: BigInt(lsn), index: 0 })) }));
  }
  const pages: string[][] = [];
  for (let query = 'limit=1000'; ; ) {
    const page = await pull(query);
    pages.push(idsOf(page));
    if (!page.json.has_more) break;
    query = `limit=1000&after=${page.json.next_cursor}`;
  }
  expect(pages).toEqual([ids.slice(0, 2), ids.slice(2, 3), ids.slice(3)]);
});

test('the feed is pulled in order, to the last digit, and goes on by its cursor', async () => {
  const big = '{"id":"evt_0000000000000020000000000","data":{"n":12345678901234567890.10}}';
  await record({ lsn: 0x20, payload: big });
  const second = await record({ lsn: 0x20, index: 1 });
  const third = await record({ lsn: 0x30 });
  const first = await pull('limit=2');
  expect(first.text).toContain(big);
  expect(first.json.has_more).toBe(true);
  const rest = await pull(`after=${first.json.next_cursor}`);
  expect(idsOf(rest)).toEqual([third]);
  expect(rest.json.has_more).toBe(false);
  const later = await record({ lsn: 0x40 });
  expect(idsOf(await pull(`after=${rest.json.next_cursor}`))).toEqual([later]);
  expect(idsOf(await pull(`after=${second}`))).toEqual([third, later]);
  expect(idsOf(await pull(`after=${formatPosition({ commitLsn: 0x30n, index: 0 })}`))).toEqual([later]);
  expect((await api.call('GET', `/events/${third}`, { key: account.key })).json.id).toBe(third);
  const other = await api.account();
  expect((await api.call('GET', `/events/${third}`, { key: other.key })).status).toBe(404);
  expect((await api.call('GET', `/events?after=${first.json.next_cursor}`, { key: other.key })).status).toBe(
    422,
  );
});

test('the feed can be read for one resource, and moves on past the others', async () => {
  const wanted = await record({ lsn: 0x20 });
  await record({ lsn: 0x30, resource: 'customers' });
  const page = await pull('resource=invoices');
  expect(idsOf(page)).toEqual([wanted]);
  expect(idsOf(await pull(`resource=customers&after=${page.json.next_cursor}`))).toEqual([]);
  expect((await pull('resource=nope')).status).toBe(422);
});

test('a page is not empty while there is more, however many events in between its reader does not get', async () => {
  const recordMany = (firstLsn: number, count: number, resource: string) =>
    api.pool.query(
      `insert into events (commit_lsn, idx, account_id, xid, type, resource, record_key, committed_at, payload)
       select '0/0'::pg_lsn + $2 + n, 0, $1, 100, 'invoice.updated', $3, '["1"]', now(), '{}'
         from generate_series(0, $4 - 1) n`,
      [account.id, firstLsn, resource, count],
    );
  // In the export by their xid, and before its seal.
  await recordMany(0x100, 25_000, 'invoices');
  const later = await record({ lsn: 0x7000, xid: 300 });
  const id = await completedExport();
  await api.pool.query(`update exports set sealed_lsn = '0/8000' where id = $1`, [id]);
  expect(idsOf(await pull(`after_export=${id}`))).toEqual([later]);
  await recordMany(0x9000, 25_000, 'customers');
  const wanted = await record({ lsn: 0x10000 });
  expect(idsOf(await pull(`resource=invoices&after=${later}`))).toEqual([wanted]);
});

test('a pulled hand-off leaves out what the snapshot holds, whatever the order of commits, until the seal', async () => {
  await record({ lsn: 0x0f, xid: 90 });
  await record({ lsn: 0x20, xid: 199 });
  const open = await record({ lsn: 0x21, xid: 150 });
  const later = await record({ lsn: 0x30, xid: 200 });
  await record({ lsn: 0x40, xid: 100 });
  const afterSeal = await record({ lsn: 0x41, xid: 120 });
  const id = await completedExport();
  expect(idsOf(await pull(`after_export=${id}`))).toEqual([open, later, afterSeal]);

  const seen: string[] = [];
  let query = `after_export=${id}&limit=1`;
  for (;;) {
    const page = await pull(query);
    seen.push(...idsOf(page));
    if (!page.json.has_more) break;
    query = `limit=1&after=${page.json.next_cursor}&after_export=${id}`;
  }
  expect(seen).toEqual([open, later, afterSeal]);
});

test('a cursor that is too old says so, and one that was just given never does', async () => {
  const { json } = await pull('limit=1');
  await api.pool.query(`update accounts set created_at = now() - interval '60 days' where id = $1`, [
    account.id,
  ]);
  expect((await pull(`after=${json.next_cursor}`)).status).toBe(200);
  try {
    api.clock.nowMs = Date.now() + 31 * 86_400_000;
    expect((await pull(`after=${json.next_cursor}`)).status).toBe(410);
  } finally {
    api.clock.nowMs = undefined;
  }
  expect((await pull('after=nonsense')).status).toBe(422);
  expect((await pull('after=a.b')).status).toBe(422);
});
