import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { eventId, formatPosition } from '../../../shared/domain/position.ts';
import type { TestApi } from '../../support/api-server.ts';
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

const pull = (query: string) => api.call('GET', `/events?${query}`, { key: account.key });
const idsOf = ({ json }: { json: { data: { id: string }[] } }) => json.data.map(({ id }) => id);

test('a page of the feed is bounded in bytes, and its reader comes by every event', async () => {
  const text = 'x'.repeat(3_500_000);
  const ids: string[] = [];
  for (const lsn of [0x20, 0x30, 0x40, 0x50]) {
    const payload = (id: string) => `{"id":"${id}","data":"${lsn === 0x40 ? text.repeat(3) : text}"}`;
    ids.push(await feed.record({ lsn, payload: payload(eventId({ commitLsn: BigInt(lsn), index: 0 })) }));
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
  await feed.record({ lsn: 0x20, payload: big });
  const second = await feed.record({ lsn: 0x20, index: 1 });
  const third = await feed.record({ lsn: 0x30 });
  const first = await pull('limit=2');
  expect(first.text).toContain(big);
  expect(first.json.has_more).toBe(true);
  const rest = await pull(`after=${first.json.next_cursor}`);
  expect(idsOf(rest)).toEqual([third]);
  expect(rest.json.has_more).toBe(false);
  const later = await feed.record({ lsn: 0x40 });
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
  const wanted = await feed.record({ lsn: 0x20 });
  await feed.record({ lsn: 0x30, resource: 'customers' });
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
  const later = await feed.record({ lsn: 0x7000, xid: 300 });
  const id = await feed.completedExport();
  await api.pool.query(`update exports set sealed_lsn = '0/8000' where id = $1`, [id]);
  expect(idsOf(await pull(`after_export=${id}`))).toEqual([later]);
  await recordMany(0x9000, 25_000, 'customers');
  const wanted = await feed.record({ lsn: 0x10000 });
  expect(idsOf(await pull(`resource=invoices&after=${later}`))).toEqual([wanted]);
});

test('a pulled hand-off leaves out what the snapshot holds, whatever the order of commits, until the seal', async () => {
  await feed.record({ lsn: 0x0f, xid: 90 });
  await feed.record({ lsn: 0x20, xid: 199 });
  const open = await feed.record({ lsn: 0x21, xid: 150 });
  const later = await feed.record({ lsn: 0x30, xid: 200 });
  await feed.record({ lsn: 0x40, xid: 100 });
  const afterSeal = await feed.record({ lsn: 0x41, xid: 120 });
  const id = await feed.completedExport();
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

test('a position that the feed has yet to reach is refused, where waiting for it would miss every event before', async () => {
  const last = await feed.record({ lsn: 0x20 });
  const id = await feed.completedExport();
  expect(idsOf(await pull(`after=${last}`))).toEqual([]);
  const ahead = { commitLsn: 0x7fff_0000n, index: 0 };
  for (const query of [
    `after=${formatPosition(ahead)}`,
    `after=${eventId(ahead)}`,
    `after=${eventId(ahead)}&after_export=${id}`,
  ]) {
    expect(await pull(query)).toMatchObject({
      status: 422,
      json: { errors: [{ pointer: 'after', detail: 'is ahead of the feed' }] },
    });
  }
});

test('every account sees what is set aside and why, and nothing of what the operator reads of it', async () => {
  const detail = 'relation "billing_internal.invoices": invalid input syntax for type json';
  await api.pool.query(
    `insert into feed_set_aside (resource, since_lsn, since_at, reason, detail) values ('invoices', '0/10', now(), 'row_unencodable', $1)`,
    [detail],
  );
  await api.pool.query(`update feed_stall set reason = 'slot_lost', detail = $1, since = now()`, [detail]);
  const answers = [await api.call('GET', '/feed', { key: account.key }), await api.call('GET', '/readyz')];
  expect(answers[0]?.json).toEqual({
    stalled: { reason: 'slot_lost', since: expect.any(String) },
    set_aside: [{ resource: 'invoices', reason: 'row_unencodable', since: expect.any(String) }],
  });
  for (const { text } of answers) expect(text).not.toMatch(/billing_internal|syntax/);
  await api.pool.query(
    'delete from feed_set_aside; update feed_stall set reason = null, detail = null, since = null',
  );
});
