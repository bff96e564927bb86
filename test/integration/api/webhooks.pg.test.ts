import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { resealSecrets } from '../../../services/api/webhooks/secret-resealer.ts';
import { formatPosition } from '../../../shared/domain/position.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { createSecretBox, WEBHOOK_SECRETS } from '../../../shared/runtime/secret-box.ts';
import { ADMIN_KEY, SECRET_KEY, type TestApi } from '../../support/api-server.ts';
import { type FeedFixture, openFeedFixture } from '../../support/feed-fixture.ts';
import { waitFor } from '../../support/wait-for.ts';

const URL = 'https://example.com/hook';

let feed: FeedFixture;
let api: TestApi;
let account: { id: string; key: string; sourceId: string };
beforeAll(async () => {
  feed = await openFeedFixture();
  api = feed.api;
});
afterAll(() => feed[Symbol.asyncDispose]());
beforeEach(async () => {
  account = await feed.reset();
});

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
    old_secret_valid_until: null,
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
  await feed.record({ lsn: 0x60 });
  await feed.settle(0x50);
  const { json } = await subscribe({ start: 'now' });
  expect(await storedStart(json.id)).toEqual({ lsn: '0/50', index: LAST, snapshot: null, until: null });
});

test('start after an export begins where the feed was settled, and leaves out what the snapshot holds until the seal', async () => {
  const id = await feed.completedExport();
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
  const old = await feed.completedExport(new Date(Date.now() - 40 * 86_400_000).toISOString());
  expect((await subscribe({ start: { after_export: old } })).json.errors[0].pointer).toBe(
    '/start/after_export',
  );
  const mine = await feed.completedExport();
  account = await api.account();
  expect((await subscribe({ start: { after_export: mine } })).status).toBe(404);
});

test('start since a moment takes whole transactions from it on', async () => {
  await feed.record({ lsn: 0x20, committedAt: new Date(Date.now() - 7_200_000).toISOString() });
  await feed.record({ lsn: 0x30, index: 3, committedAt: new Date(Date.now() - 60_000).toISOString() });
  const since = new Date(Date.now() - 3_600_000).toISOString();
  const { json } = await subscribe({ start: { since } });
  expect(await storedStart(json.id)).toMatchObject({ lsn: '0/2F', index: LAST });
  const later = await subscribe({ start: { since: new Date().toISOString() } });
  expect(await storedStart(later.json.id)).toMatchObject({ lsn: '0/30', index: 3 });
});

test('start since something that is no longer kept, or not there yet, is refused', async () => {
  await feed.record({ lsn: 0x30 });
  await feed.settle(0x30);
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
    `/* arranged */ update webhooks set status = 'disabled', status_reason = 'gone', failures_in_row = 9, failing_since = now()
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
  expect(rotated.json.old_secret_valid_until).toBe(older?.expires_at);
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
  // A key that may only read sees their names, and what it sees is no value.
  const reader = await api.call('POST', `/admin/accounts/${account.id}/keys`, {
    key: ADMIN_KEY,
    body: { scopes: ['webhooks:read'] },
  });
  const shown = await api.call('GET', `/webhooks/${json.id}`, { key: reader.json.key });
  const listed = await api.call('GET', '/webhooks', { key: reader.json.key });
  expect([shown.json, ...listed.json.data].map(({ headers }) => headers)).toEqual([
    { 'x-token': '[hidden]' },
    { 'x-token': '[hidden]' },
  ]);
  const masked = { key: account.key, body: { headers: shown.json.headers } };
  expect((await api.call('PATCH', `/webhooks/${json.id}`, masked)).json.errors).toEqual([
    { pointer: '/headers/x-token', detail: 'is hidden from this key; give the value itself' },
  ]);
  expect(JSON.stringify(await stored())).not.toContain('psst');
  await api.pool.query('update webhooks set headers = $2 where id = $1', [json.id, { 'x-token': 'clear' }]);
  await resealSecrets({ pool: api.pool, box: api.box, log: silentLog });
  expect(JSON.parse(api.box.open(await stored()))).toEqual({ 'x-token': 'clear' });
});

test('secrets sealed with an earlier key are sealed again, and those that open with none are left and told', async () => {
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

test('a replay after an export drops the retries of what the export holds', async () => {
  const { json } = await subscribe({});
  const exportId = await feed.completedExport();
  await feed.settle(0x50);
  // Held, told to export again, and not held by the snapshot.
  for (const [lsn, xid] of [
    [0x06, 100],
    [0x07, 0],
    [0x08, 150],
  ] as const) {
    await feed.record({ lsn, xid });
    await api.pool.query(
      `insert into webhook_parked (webhook_id, commit_lsn, idx, committed_at, record_key, attempt_count, state)
       select $1, commit_lsn, idx, committed_at, 'invoices/["1"]', 10, 'dead' from events where commit_lsn = $2`,
      [json.id, `0/${lsn.toString(16)}`],
    );
  }
  const replayed = await api.call('POST', `/webhooks/${json.id}/replay`, {
    key: account.key,
    body: { after_export: exportId },
  });
  expect(replayed.status).toBe(200);
  const { rows } = await api.pool.query(
    'select commit_lsn::text as lsn from webhook_parked where webhook_id = $1 order by 1',
    [json.id],
  );
  expect(rows).toEqual([{ lsn: '0/7' }, { lsn: '0/8' }]);
});

test('who paused, resumed, replayed and redelivered is on record', async () => {
  const event = await feed.record({ lsn: 0x20 });
  await feed.settle(0x30);
  const { json } = await subscribe({});
  const ask = async (path: string, body?: unknown) => {
    const { status } = await api.call('POST', path, { key: account.key, body });
    expect([path, status]).toEqual([path, expect.toSatisfy((code: number) => code < 300)]);
  };
  await ask(`/webhooks/${json.id}/pause`);
  await ask(`/webhooks/${json.id}/resume`);
  await ask(`/webhooks/${json.id}/replay`, { since: event });
  await ask(`/events/${event}/redeliver`, { webhook_id: json.id });
  const { data } = (
    await api.call('GET', `/admin/audit?account_id=${account.id}&limit=4`, { key: ADMIN_KEY })
  ).json;
  const actor = expect.stringMatching(/^key_/);
  expect(data).toMatchObject(
    [
      { action: 'event.redelivered', details: { event } },
      { action: 'webhook.replayed', details: { since: event } },
      { action: 'webhook.resumed' },
      { action: 'webhook.paused' },
    ].map((entry) => ({ ...entry, actor, subject_id: json.id })),
  );
});

test('a replay from a place that the endpoint has yet to reach passes over nothing, and one from before moves it back', async () => {
  const before = await feed.record({ lsn: 0x4ff0 });
  await feed.settle(0x5000);
  const { json } = await subscribe({});
  await feed.record({ lsn: 0x5010 });
  const later = await feed.record({ lsn: 0x5020 });
  const replay = (since: string) =>
    api.call('POST', `/webhooks/${json.id}/replay`, { key: account.key, body: { since } });
  for (const since of [later, '2999-01-01T00:00:00Z']) {
    expect(await replay(since)).toMatchObject({ status: 200, json: { position: json.position } });
  }
  const back = await replay(before);
  expect(back.json.position < json.position).toBe(true);
  await api.pool.query('update webhooks set missed_events = true where id = $1', [json.id]);
  expect((await replay(later)).json.position > json.position).toBe(true);
});
