import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type AttemptFilter, listAttempts } from '../../../services/api/webhooks/attempt-store.ts';
import { readBacklog } from '../../../services/api/webhooks/stats-store.ts';
import { type Attempt, recordAttempts } from '../../../services/dispatcher/store/record-attempts.ts';
import { eventId, formatPosition } from '../../../shared/domain/position.ts';
import { ADMIN_KEY, type TestApi } from '../../support/api-server.ts';
import { explaining } from '../../support/explain.ts';
import { type FeedFixture, openFeedFixture } from '../../support/feed-fixture.ts';
import { waitFor } from '../../support/wait-for.ts';

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

const subscribe = (body: Record<string, unknown>) =>
  api.call('POST', '/webhooks', {
    key: account.key,
    body: { url: 'https://example.com/hook', ...body },
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

test('attempts are found by outcome, event and time along an index, a page at a time', async () => {
  const { json } = await subscribe({});
  const eventAt = (n: number) => eventId({ commitLsn: BigInt(n), index: 0 });
  // 30,000 attempts, one a second, of which one in ten failed; every 1,000th timed out.
  await api.pool.query(
    `insert into webhook_attempts (webhook_id, event_id, attempt, started_at, duration_ms, status, outcome)
     select $1, 'evt_' || lpad(upper(to_hex(n)), 16, '0') || '0000000000', 1, '2026-01-05T00:00:00Z'::timestamptz + n * interval '1 second', 5,
            case when n % 1000 = 0 then null else 200 end,
            case when n % 1000 = 0 then 'timeout' when n % 10 = 0 then 'failed' else 'delivered' end
       from generate_series(1, 30000) n`,
    [json.id],
  );
  // A batch of the events 100 to 200, later than all of them.
  await api.pool.query(
    `insert into webhook_attempts (webhook_id, event_id, attempt, started_at, duration_ms, status, outcome, batch, event_ids)
     values ($1, $2, 1, '2026-01-06T00:00:00Z', 5, 500, 'failed', $3, $4)`,
    [
      json.id,
      eventAt(100),
      { id: 'bat_1', event_count: 101, last_event_id: eventAt(200) },
      Array.from({ length: 101 }, (_, n) => eventAt(100 + n)),
    ],
  );
  // Another begins and ends around the event 150 without it.
  await api.pool.query(
    `insert into webhook_attempts (webhook_id, event_id, attempt, started_at, duration_ms, status, outcome, batch, event_ids)
     values ($1, $2, 1, '2026-01-06T00:00:00Z', 5, 200, 'delivered', $3, $4)`,
    [
      json.id,
      eventAt(140),
      { id: 'bat_2', event_count: 2, last_event_id: eventAt(160) },
      [eventAt(140), eventAt(160)],
    ],
  );
  await api.pool.query('analyze webhook_attempts');
  const page = async (query: string) =>
    (await api.call('GET', `/webhooks/${json.id}/attempts?${query}`, { key: account.key })).json;
  const all = async (query: string) => {
    const list: { event_id: string; outcome: string; started_at: string }[] = [];
    let cursor = '';
    for (;;) {
      const { data, has_more, next_cursor } = await page(`${query}&limit=20${cursor}`);
      list.push(...data);
      if (!has_more) return list;
      cursor = `&cursor=${next_cursor}`;
    }
  };
  const timeouts = await all('outcome=timeout');
  expect(timeouts.map(({ event_id }) => event_id)).toEqual(
    Array.from({ length: 30 }, (_, n) => eventAt(30_000 - 1_000 * n)),
  );
  const failed = await all('outcome=failed&from=2026-01-05T00:05:00Z&to=2026-01-05T00:10:00Z');
  expect(failed.map(({ event_id }) => event_id)).toEqual(
    Array.from({ length: 30 }, (_, n) => eventAt(590 - 10 * n)),
  );
  expect((await page('outcome=delivered&to=2026-01-05T00:00:03Z')).data).toHaveLength(2);
  // Sent alone and in the batch; of another, only alone; outside the batch.
  for (const [n, count] of [
    [100, 2],
    [150, 2],
    [200, 2],
    [201, 1],
    [99, 1],
    [40_000, 0],
  ] as const) {
    const found = await all(`event_id=${eventAt(n)}`);
    expect([n, found.length]).toEqual([n, count]);
  }
  expect(await all(`event_id=${eventAt(150)}&outcome=delivered`)).toEqual([]);
  const one = await page(`event_id=${eventAt(150)}&limit=1`);
  expect(one).toMatchObject({ has_more: true, data: [{ event_id: eventAt(150), batch: null }] });
  const next = await page(`event_id=${eventAt(150)}&limit=1&cursor=${one.next_cursor}`);
  expect(next).toMatchObject({ has_more: false, data: [{ batch: { event_count: 101 } }] });
  // Rows read for a page: as many as it holds, or some batches, however many attempts there are.
  const rowsFor = async (filter: Partial<AttemptFilter>) => {
    const none = { outcome: undefined, eventId: undefined, from: undefined, to: undefined };
    const { db, rowsRead } = explaining(api.pool);
    await listAttempts(db, { webhookId: json.id, ...none, ...filter }, undefined, 10);
    return rowsRead('webhook_attempts');
  };
  expect(await rowsFor({ from: '2026-01-05T00:05:00Z', to: '2026-01-05T00:05:20Z' })).toBeLessThan(50);
  expect(await rowsFor({ outcome: 'timeout' })).toBeLessThan(4_000);
  expect(await rowsFor({ eventId: eventAt(150) })).toBeLessThan(10);
  expect(await rowsFor({})).toBeLessThan(50);
  expect(await rowsFor({ outcome: 'failed' })).toBeLessThan(50);
  expect(await rowsFor({ outcome: 'delivered' })).toBeLessThan(1_100);
  // PostgreSQL does not know every zone of RFC 3339, nor the year 0.
  for (const from of ['2026-01-05t00:00:00z', '2026-01-05T00:00:00+23:59', '9999-12-31T23:59:59Z']) {
    expect(await page(`from=${encodeURIComponent(from)}`)).toHaveProperty('data');
  }
  expect((await page('from=0000-01-01T00:00:00Z')).status).toBe(422);
  // A cursor belongs to its filter.
  const foreign = await api.call('GET', `/webhooks/${json.id}/attempts?cursor=${one.next_cursor}`, {
    key: account.key,
  });
  expect(foreign.status).toBe(422);
});

test('how far an endpoint is behind is exact for a few events, and a bound at 100,000, which costs no more than 10,000', async () => {
  const { json } = await subscribe({ events: ['invoice.*'] });
  const stats = async (query = '') =>
    (await api.call('GET', `/webhooks/${json.id}/stats${query}`, { key: account.key })).json;
  const insert = (
    first: number,
    count: number,
    type: string,
    resource: string,
    ageSeconds: number,
    xid = 300,
  ) =>
    api.pool.query(
      `insert into events (commit_lsn, idx, account_id, xid, type, resource, record_key, committed_at, payload)
       select '0/0'::pg_lsn + $2::int + n, 0, $1, $7, $4, $5, '["1"]', now() - $6 * interval '1 second', '{}'
         from generate_series(0, $3::int - 1) n`,
      [account.id, first, count, type, resource, ageSeconds, xid],
    );
  expect((await stats()).behind_by).toEqual({ events: 0, is_exact: true, seconds: 0 });
  await insert(0x100, 3, 'customer.updated', 'customers', 900);
  await insert(0x200, 1, 'feed.reset', 'invoices', 500);
  await insert(0x300, 4, 'invoice.updated', 'invoices', 400);
  // Two of them are delivered ahead of the cursor, and one waits behind it for a retry.
  await api.pool.query(`update webhooks set cursor_lsn = '0/1ff', done = $2 where id = $1`, [
    json.id,
    [0x200, 0x301].map((lsn) => formatPosition({ commitLsn: BigInt(lsn), index: 0 })),
  ]);
  await api.pool.query(
    `insert into webhook_parked (webhook_id, commit_lsn, idx, committed_at, record_key, attempt_count, next_attempt_at, state)
     select $1, lsn::pg_lsn, 0, now() - interval '600 seconds', 'invoices/["1"]', 1, now(), state
       from (values ('0/150', 'waiting'), ('0/151', 'dead')) as p (lsn, state)`,
    [json.id],
  );
  const few = await stats();
  expect(few).toMatchObject({ behind_by: { events: 4, is_exact: true }, retrying: 1, dead_letters: 1 });
  expect(few.behind_by.seconds).toBeGreaterThanOrEqual(600);
  expect(few.behind_by.seconds).toBeLessThan(700);
  // What the export holds is not missing.
  await api.pool.query(
    `update webhooks set handoff_snapshot = '150:200:150', handoff_until_lsn = '0/400' where id = $1`,
    [json.id],
  );
  await insert(0x350, 5, 'invoice.updated', 'invoices', 10, 120);
  expect((await stats()).behind_by.events).toBe(4);

  await insert(0x1000, 100_000, 'invoice.updated', 'invoices', 60);
  await api.pool.query('analyze events');
  const many = await stats();
  expect(many.behind_by).toMatchObject({ is_exact: false });
  const { db, rowsRead } = explaining(api.pool);
  await readBacklog(db, json.id, () => undefined);
  expect(rowsRead('events')).toBeLessThanOrEqual(10_000);
  expect(many.behind_by.events).toBeGreaterThan(9_900);
  expect(many.behind_by.events).toBeLessThanOrEqual(10_010);
  await api.pool.query(`update webhooks set events = '{customer.created}' where id = $1`, [json.id]);
  await api.pool.query('delete from webhook_parked where webhook_id = $1', [json.id]);
  expect((await stats()).behind_by).toEqual({ events: 0, is_exact: false, seconds: null });
});

test('statistics have a range of at most seven days', async () => {
  const { json } = await subscribe({});
  const stats = (query: string) =>
    api.call('GET', `/webhooks/${json.id}/stats?${query}`, { key: account.key });
  const zeros = Array.from({ length: 64 }, (_, n) => (n === 10 ? 4 : 0));
  await api.pool.query(
    `insert into webhook_stats (webhook_id, bucket, delivered, failed, delivered_events, failed_events, durations)
     select $1, '2026-01-05T00:00:00Z'::timestamptz + n * interval '5 minutes', 3, 1, 30, 10, $2 from generate_series(0, 11) n`,
    [json.id, zeros],
  );
  const { json: hour } = await stats('from=2026-01-05T00:07:00Z&to=2026-01-05T00:21:00Z');
  expect(hour).toMatchObject({
    from: '2026-01-05T00:05:00.000Z',
    to: '2026-01-05T00:25:00.000Z',
    attempts: { delivered: 12, failed: 4 },
    events: { delivered: 120, failed: 40 },
  });
  expect(hour.buckets).toHaveLength(4);
  expect(hour.duration_ms.p50).toBeGreaterThanOrEqual(5);
  expect(hour.duration_ms.p95).toBeLessThanOrEqual(7);
  for (const range of [
    'from=2026-01-05T00:00:00Z&to=2026-01-05T00:00:00Z',
    'from=2026-01-01T00:00:00Z&to=2026-01-09T00:00:00Z',
  ]) {
    expect((await stats(range)).json.errors[0].pointer).toBe('from');
  }
  account = await api.account();
  expect((await stats('')).status).toBe(404);
});

test('an endpoint is deleted with its retries, and not one by one with its attempts', async () => {
  const { json } = await subscribe({});
  await api.pool.query(
    `insert into webhook_attempts (webhook_id, event_id, attempt, started_at, duration_ms, outcome)
     select $1, 'evt_' || n, n, now(), 5, 'failed' from generate_series(1, 10) n`,
    [json.id],
  );
  await api.pool.query(
    `insert into webhook_parked (webhook_id, commit_lsn, idx, committed_at, record_key, attempt_count, state)
     select $1, '0/1', n, now(), 'invoices/["1"]', 1, 'dead' from generate_series(1, 20001) n`,
    [json.id],
  );
  expect((await api.call('DELETE', `/webhooks/${json.id}`, { key: account.key })).status).toBe(204);
  const { rows } = await api.pool.query(
    `select (select count(*)::int from webhook_parked where webhook_id = $1) as retries,
            (select count(*)::int from webhook_attempts where webhook_id = $1) as attempts`,
    [json.id],
  );
  // The sweep of old attempts takes them.
  expect(rows).toEqual([{ retries: 0, attempts: 10 }]);
  expect((await api.call('GET', `/webhooks/${json.id}/attempts`, { key: account.key })).status).toBe(404);
});

test('the body of an attempt holds records, so it needs events:read, and who read it is on record', async () => {
  const id = await feed.record({ lsn: 0x30 });
  const { json } = await subscribe({});
  const { rows } = await api.pool.query<{ id: string }>(
    `insert into webhook_attempts (webhook_id, event_id, attempt, started_at, duration_ms, status, outcome, request)
     values ($1, $2, 1, now(), 5, 200, 'delivered', '{"signature":"v1,x","own_headers":[]}') returning id`,
    [json.id, id],
  );
  const key = async (...scopes: string[]) =>
    (await api.call('POST', `/admin/accounts/${account.id}/keys`, { key: ADMIN_KEY, body: { scopes } })).json;
  const show = async (by: { key: string }) =>
    (await api.call('GET', `/webhooks/${json.id}/attempts/${rows[0]?.id}`, { key: by.key })).json.request;
  const reads = async () =>
    (await api.call('GET', `/admin/audit?account_id=${account.id}&action=events.read`, { key: ADMIN_KEY }))
      .json.data.length;
  expect(await show(await key('webhooks:read'))).toMatchObject({
    body: null,
    body_bytes: null,
    is_body_cut: false,
    headers: { 'webhook-id': id },
  });
  expect(await reads()).toBe(0);
  expect((await show(await key('webhooks:read', 'events:read'))).body).toContain(id);
  expect(await reads()).toBe(1);
});

test('attempts of an endpoint that is being deleted are dropped, and stand in nobody’s way', async () => {
  const [gone, stays] = [(await subscribe({})).json.id, (await subscribe({})).json.id];
  const attempt = (endpointId: string): Attempt => ({
    endpointId,
    eventId: eventId({ commitLsn: 1n, index: 0 }),
    batch: undefined,
    attempt: 1,
    startedAtMs: Date.parse('2026-01-05T00:00:01Z'),
    durationMs: 5,
    committedAtMs: 0,
    status: 200,
    outcome: 'delivered',
    excerpt: undefined,
    request: undefined,
    response: undefined,
  });
  const both = [attempt(gone), attempt(stays)];
  await recordAttempts(api.pool, both);
  const client = await api.pool.connect();
  await client.query('begin');
  await client.query('select from webhooks where id = $1 for update', [gone]);
  const recorded = recordAttempts(api.pool, both);
  await waitFor('the attempts to wait for the deletion', async () => {
    const { rows } = await api.pool.query(
      'select from pg_stat_activity where datname = current_database() and wait_event_type = $1 and query like $2',
      ['Lock', '%insert into webhook_attempts%'],
    );
    return rows.length === 1;
  });
  await client.query('delete from webhook_stats where webhook_id = $1', [gone]);
  await client.query('delete from webhooks where id = $1', [gone]);
  await client.query('commit');
  client.release();
  await recorded;
  const { rows } = await api.pool.query(
    'select webhook_id, delivered from webhook_stats where webhook_id = any($1)',
    [[gone, stays]],
  );
  expect(rows).toEqual([{ webhook_id: stays, delivered: 2 }]);
});
