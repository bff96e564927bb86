import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type EventFilter, searchEvents } from '../../../services/api/events/search-store.ts';
import { ensurePartitions } from '../../../services/dispatcher/record/event-partitions.ts';
import { eventId, formatPosition } from '../../../shared/domain/position.ts';
import type { TestApi } from '../../support/api-server.ts';
import { explaining } from '../../support/explain.ts';
import { type FeedFixture, openFeedFixture } from '../../support/feed-fixture.ts';

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

const get = (path: string) => api.call('GET', path, { key: account.key });
const idOf = (lsn: number) => eventId({ commitLsn: BigInt(lsn), index: 0 });
const search = async (query: Record<string, string | number>) => {
  const text = new URLSearchParams(
    Object.entries(query).map(([name, value]): [string, string] => [name, String(value)]),
  );
  return (await get(`/events/search?${text}`)).json;
};
/** IDs of all pages. */
const searchAll = async (query: Record<string, string | number>) => {
  const ids: string[] = [];
  for (let cursor = {}; ; ) {
    const { data, has_more, next_cursor } = await search({ ...query, ...cursor });
    ids.push(...data.map(({ id }: { id: string }) => id));
    if (!has_more) return ids;
    cursor = { cursor: next_cursor };
  }
};
/** `count` events, `stepMs` apart, with every 10th a deletion and every 1,000th of the record `rare`. */
const recordMany = async (first: number, count: number, startMs: number, stepMs: number) => {
  await api.pool.query(
    `insert into events (commit_lsn, idx, account_id, xid, type, resource, record_key, committed_at, payload)
     select '0/0'::pg_lsn + ($2::numeric + n * 1000), 0, $1, 100,
            case when n % 10 = 0 then 'invoice.deleted' else 'invoice.updated' end, 'invoices',
            case when n % 1000 = 0 then '["rare"]' else '["1"]' end, to_timestamp($4::float8 + n * $5::float8),
            '{"id":"evt_' || lpad(upper(to_hex($2::bigint + n * 1000)), 16, '0') || '0000000000"}'
       from generate_series(0, $3::int - 1) n`,
    [account.id, first, count, startMs / 1_000, stepMs / 1_000],
  );
  await api.pool.query('analyze events');
};

test('events are found by type, record and time, newest first, as they were recorded', async () => {
  const big = '{"id":"evt_00000000000000200000000000","data":{"n":12345678901234567890.10}}';
  const at = (minute: number) => `2026-01-05T00:0${minute}:00.000Z`;
  await feed.record({ lsn: 0x20, payload: big, committedAt: at(0) });
  await feed.record({ lsn: 0x30, committedAt: at(1), resource: 'customers' });
  await feed.record({ lsn: 0x40, committedAt: at(2) });
  await api.pool.query(
    `update events set type = 'customer.created', record_key = '["7"]' where commit_lsn = '0/30'`,
  );
  expect(await searchAll({ limit: 1 })).toEqual([idOf(0x40), idOf(0x30), idOf(0x20)]);
  expect((await get('/events/search')).text).toContain(big);
  expect(await searchAll({ type: 'customer.created' })).toEqual([idOf(0x30)]);
  expect(await searchAll({ type: 'invoice.*,customer.deleted' })).toEqual([idOf(0x40), idOf(0x20)]);
  expect(await searchAll({ resource: 'customers', key: '7' })).toEqual([idOf(0x30)]);
  expect(await searchAll({ resource: 'invoices', key: '7' })).toEqual([]);
  expect(await searchAll({ from: at(1), to: at(2) })).toEqual([idOf(0x30)]);
  // To the microsecond.
  expect(await searchAll({ from: '2026-01-05T00:01:00.000001Z', to: '2026-01-05T00:02:00.000001Z' })).toEqual(
    [idOf(0x40)],
  );
  for (const [query, pointer] of [
    [{ type: 'invoice.exploded' }, 'type'],
    [{ type: 'export.completed' }, 'type'],
    [{ key: '7' }, 'key'],
    [{ resource: 'nope' }, 'resource'],
    [{ from: 'yesterday' }, 'from'],
  ] as const) {
    expect((await search(query)).errors[0].pointer).toBe(pointer);
  }
  const { next_cursor: cursor } = await search({ limit: 1 });
  expect((await search({ limit: 1, cursor, resource: 'invoices' })).status).toBe(422);
  const { key } = account;
  account = await feed.api.account();
  expect(await searchAll({})).toEqual([]);
  expect((await search({ limit: 1, cursor })).status).toBe(422);
  account.key = key;
});

test('of an event and a reset at its place, the reset counts', async () => {
  const reset = '{"type":"feed.reset"}';
  const id = await feed.record({ lsn: 0x30, committedAt: '2026-01-05T00:00:00Z', payload: '{"older":1}' });
  await feed.record({ lsn: 0x30, committedAt: '2026-01-06T00:00:00Z', payload: reset });
  await api.pool.query(`update events set type = 'feed.reset' where payload = $1`, [reset]);
  expect((await get(`/events/${id}`)).text).toBe(reset);
  const { json: invoices } = await api.call('POST', '/webhooks', {
    key: account.key,
    body: { url: 'https://example.com/hook', events: ['invoice.created'] },
  });
  // Every change of invoices is reset for it, though it subscribes to no such event as the older one.
  const redelivered = await api.call('POST', `/events/${id}/redeliver`, {
    key: account.key,
    body: { webhook_id: invoices.id },
  });
  expect(redelivered.status).toBe(202);
  expect((await get(`/events/${id}/deliveries`)).json.data[0].state).not.toBe('not_subscribed');
  const { rows } = await api.pool.query<{ id: string }>(
    `insert into webhook_attempts (webhook_id, event_id, attempt, started_at, duration_ms, outcome, request)
     values ($1, $2, 1, now(), 5, 'failed', '{"signature":"v1,x","own_headers":[]}') returning id`,
    [invoices.id, id],
  );
  expect((await get(`/webhooks/${invoices.id}/attempts/${rows[0]?.id}`)).json.request.body).toBe(reset);
});

test('a page is bounded in bytes', async () => {
  const text = 'x'.repeat(3_500_000);
  for (const lsn of [0x20, 0x30, 0x40])
    await feed.record({ lsn, payload: `{"id":"${idOf(lsn)}","data":"${text}"}` });
  const first = await search({});
  expect(first.data.map(({ id }: { id: string }) => id)).toEqual([0x40, 0x30].map(idOf));
  expect((await search({ cursor: first.next_cursor })).data).toHaveLength(1);
});

test('however many events there are, a statement reads as many as a page, or 10,000, and finds a time by bisection', async () => {
  const dayMs = Date.parse('2026-01-05T00:00:00Z');
  await ensurePartitions(api.pool, ['2026-01-05', '2026-01-06']);
  // 100,000 events over a day, one each 864 ms.
  await recordMany(1_000, 100_000, dayMs, 864);
  const read = async (part: Partial<EventFilter>, limit = 10) => {
    const none = {
      types: undefined,
      resource: undefined,
      recordKey: undefined,
      from: undefined,
      to: undefined,
    };
    const { db, rowsRead } = explaining(api.pool);
    const found = await searchEvents(db, { accountId: account.id, ...none, ...part }, undefined, limit);
    return { found: found.rows.length, hasMore: found.next !== undefined, rows: rowsRead('events') };
  };
  const newest = await read({});
  expect(newest).toMatchObject({ found: 10, hasMore: true });
  expect(newest.rows).toBeLessThan(50);
  const rare = await read({ recordKey: '["rare"]', resource: 'invoices' }, 100);
  expect(rare).toMatchObject({ found: 10, hasMore: true });
  expect(rare.rows).toBeLessThan(10_050);
  const hourMs = 3_600_000;
  const at = (ms: number) => new Date(dayMs + ms).toISOString();
  // A minute in the middle of the day.
  const minute = await read({ from: at(12 * hourMs), to: at(12 * hourMs + 60_000) }, 100);
  expect(minute.found).toBe(70);
  expect(minute.rows).toBeLessThan(11_000);
  const ids = await searchAll({
    type: 'invoice.deleted',
    from: '2026-01-05T12:00:00Z',
    to: '2026-01-05T12:01:00Z',
  });
  expect(ids).toHaveLength(7);
  // Far enough before a time, a search ends without reading the rest of the day.
  expect(await read({ from: at(23 * hourMs) }, 5_000)).toMatchObject({ found: 4_166, hasMore: false });
  // The search goes on through all that does not match, and ends.
  expect(await searchAll({ resource: 'invoices', key: 'rare', limit: 30 })).toEqual(
    Array.from({ length: 100 }, (_, n) => idOf(1_000 + (99_000 - n * 1_000) * 1_000)),
  );
  expect(await searchAll({ resource: 'invoices', key: 'none' })).toEqual([]);
  expect(await searchAll({ from: '2026-01-05T23:59:50Z' })).toHaveLength(11);
});

test('an event shows what became of it at each endpoint', async () => {
  const id = await feed.record({ lsn: 0x30, xid: 300 });
  const subscribe = async (fields: Record<string, unknown>, cursor: string, done: string[] = []) => {
    const body = { url: 'https://example.com/hook', ...fields };
    const { json } = await api.call('POST', '/webhooks', { key: account.key, body });
    await api.pool.query('update webhooks set cursor_lsn = $2, cursor_idx = 0, done = $3 where id = $1', [
      json.id,
      cursor,
      done,
    ]);
    return json.id as string;
  };
  const scheduleRetry = (webhookId: string, lsn: string, state: string, attempts: number, hasMore = false) =>
    api.pool.query(
      `insert into webhook_parked (webhook_id, commit_lsn, idx, committed_at, record_key, attempt_count, next_attempt_at, state, has_more)
       values ($1, $2, 0, now(), 'invoices/["1"]', $4, now(), $3, $5)`,
      [webhookId, lsn, state, attempts, hasMore],
    );
  const tried = (webhookId: string, event: string, outcome: string, events: string[] | null = null) =>
    api.pool.query(
      `insert into webhook_attempts (webhook_id, event_id, attempt, started_at, duration_ms, status, outcome, event_ids, batch)
       values ($1, $2, 1, now(), 5, 200, $3, $4, $5)`,
      [
        webhookId,
        event,
        outcome,
        events,
        events && { id: 'bat_1', event_count: events.length, last_event_id: events.at(-1) },
      ],
    );
  const states: [string, string][] = [];
  const expectState = (webhookId: string, state: string) => states.unshift([webhookId, state]);

  const alone = await subscribe({}, '0/40');
  await tried(alone, id, 'failed');
  await tried(alone, id, 'delivered');
  expectState(alone, 'delivered');
  const batch = await subscribe({}, '0/40');
  await tried(batch, idOf(0x20), 'delivered', [idOf(0x20), id, idOf(0x50)]);
  expectState(batch, 'delivered');
  const other = await subscribe({}, '0/40');
  await tried(other, idOf(0x20), 'delivered', [idOf(0x20), idOf(0x50)]);
  expectState(other, 'passed');
  const retrying = await subscribe({}, '0/40');
  await scheduleRetry(retrying, '0/30', 'waiting', 2);
  expectState(retrying, 'retrying');
  const waiting = await subscribe({}, '0/40');
  await scheduleRetry(waiting, '0/20', 'waiting', 2, true);
  expectState(waiting, 'waiting');
  const dead = await subscribe({}, '0/40');
  await scheduleRetry(dead, '0/30', 'dead', 10);
  expectState(dead, 'dead');
  const upcoming = await subscribe({}, '0/20');
  expectState(upcoming, 'upcoming');
  expectState(await subscribe({}, '0/20', [formatPosition({ commitLsn: 0x30n, index: 0 })]), 'passed');
  expectState(await subscribe({ events: ['customer.*'] }, '0/40'), 'not_subscribed');
  const held = await subscribe({}, '0/20');
  await api.pool.query(
    `update webhooks set handoff_snapshot = '400:400:', handoff_until_lsn = '0/40' where id = $1`,
    [held],
  );
  expectState(held, 'in_export');

  // Sent again, it would be older than what the export gave.
  const redeliver = async (webhookId: string) =>
    (await api.call('POST', `/events/${id}/redeliver`, { key: account.key, body: { webhook_id: webhookId } }))
      .json.state;
  expect(await redeliver(held)).toBe('in_export');
  await api.pool.query(`update webhooks set cursor_lsn = '0/50' where id = $1`, [held]);
  expect(await redeliver(held)).toBe('in_export');
  expect(await redeliver(upcoming)).toBe('upcoming');
  const { rows: retries } = await api.pool.query('select from webhook_parked where webhook_id = any($1)', [
    [held, upcoming],
  ]);
  expect(retries).toEqual([]);

  const { json } = await get(`/events/${id}/deliveries`);
  expect(
    json.data.map((each: { webhook_id: string; state: string }) => [each.webhook_id, each.state]),
  ).toEqual(states);
  expect(json.data.at(-1)).toMatchObject({
    url: 'https://example.com/hook',
    last_attempt: { event_id: id, outcome: 'delivered', batch: null },
  });
  expect(json.data.at(-2).last_attempt.batch).toMatchObject({ event_count: 3 });
  expect((await get(`/events/${idOf(0x31)}/deliveries`)).status).toBe(404);
  account = await feed.api.account();
  expect((await get(`/events/${id}/deliveries`)).status).toBe(404);
});
