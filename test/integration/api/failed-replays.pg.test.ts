import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { stepFailedReplay } from '../../../shared/control/webhooks/replay-failed.ts';
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

const subscribe = (body: Record<string, unknown>) =>
  api.call('POST', '/webhooks', {
    key: account.key,
    body: { url: 'https://example.com/hook', ...body },
  });

test('a replay of failures schedules a bounded number at a time, in order, and loses nothing with a crash', async () => {
  for (let lsn = 1; lsn <= 8; lsn++) await feed.record({ lsn });
  const { json } = await subscribe({});
  await api.pool.query(
    `insert into webhook_parked (webhook_id, commit_lsn, idx, committed_at, record_key, attempt_count, last_error, state)
     select $1, e.commit_lsn, 0, e.committed_at, 'invoices/["1"]', 3, json_build_object('at', now() - interval '1 minute'), 'dead'
       from events e where account_id = $2`,
    [json.id, account.id],
  );
  // One of no event that is kept, one that failed before, and one that failed after.
  await api.pool.query(
    `insert into webhook_parked (webhook_id, commit_lsn, idx, committed_at, record_key, attempt_count, last_error, state)
     values ($1, '0/3', 1, now(), 'invoices/["1"]', 3, json_build_object('at', now()), 'dead')`,
    [json.id],
  );
  await api.pool.query(
    `update webhook_parked set last_error = json_build_object('at', now() - interval '1 day') where webhook_id = $1 and commit_lsn = '0/2'`,
    [json.id],
  );
  await api.pool.query(
    `update webhook_parked set last_error = json_build_object('at', now()) where webhook_id = $1 and commit_lsn = '0/8'`,
    [json.id],
  );
  const ago = (ms: number) => new Date(Date.now() - ms).toISOString();
  const body = { only: 'failed', from: ago(3_600_000), to: ago(30_000) };
  const ask = () => api.call('POST', `/webhooks/${json.id}/replay`, { key: account.key, body });
  expect((await ask()).status).toBe(202);
  expect((await ask()).status).toBe(409);
  const waiting = async () => {
    const { rows } = await api.pool.query<{ lsn: string }>(
      `select commit_lsn::text as lsn from webhook_parked where webhook_id = $1 and state = 'waiting' order by commit_lsn`,
      [json.id],
    );
    return rows.map(({ lsn }) => lsn);
  };
  const limits = { page: 3, maxWaiting: 4, restSeconds: 0 };
  // A dispatcher that dies in mid-step leaves everything as it was.
  const client = await api.pool.connect();
  await client.query('begin');
  await stepFailedReplay(client, limits);
  // Meanwhile no other takes it up.
  expect(await stepFailedReplay(api.pool, limits)).toBeUndefined();
  await client.query('rollback');
  client.release();
  expect(await waiting()).toEqual([]);

  expect(await stepFailedReplay(api.pool, limits)).toMatchObject({ scheduled: 2, is_over: false });
  expect(await waiting()).toEqual(['0/1', '0/3']);
  expect(await stepFailedReplay(api.pool, limits)).toMatchObject({ scheduled: 2, is_over: false });
  expect(await waiting()).toEqual(['0/1', '0/3', '0/4', '0/5']);
  expect(await stepFailedReplay(api.pool, limits)).toMatchObject({
    is_full: true,
    scheduled: 0,
    is_over: false,
  });
  await api.pool.query(`delete from webhook_parked where webhook_id = $1 and commit_lsn <= '0/4'`, [json.id]);
  expect(await stepFailedReplay(api.pool, limits)).toMatchObject({ scheduled: 2, is_over: false });
  await api.pool.query(`delete from webhook_parked where webhook_id = $1 and commit_lsn = '0/5'`, [json.id]);
  expect(await stepFailedReplay(api.pool, limits)).toMatchObject({ scheduled: 0, is_over: true });
  expect(await waiting()).toEqual(['0/6', '0/7']);
  expect((await ask()).status).toBe(202);
  account = await api.account();
  expect((await ask()).status).toBe(404);
});

test('a replay that waits for room costs the others nothing, and one of a paused endpoint is replaced', async () => {
  await api.pool.query('delete from webhook_replays');
  const [full, free] = [(await subscribe({})).json.id, (await subscribe({})).json.id];
  const replay = async (id: string, from: string) =>
    (await api.call('POST', `/webhooks/${id}/replay`, { key: account.key, body: { only: 'failed', from } }))
      .status;
  await api.pool.query(
    `insert into webhook_parked (webhook_id, commit_lsn, idx, committed_at, record_key, attempt_count, state)
     select $1, '0/1', n, now(), 'invoices/["1"]', 1, 'waiting' from generate_series(1, 3) n`,
    [full],
  );
  expect(await replay(full, '2026-01-05T00:00:00Z')).toBe(202);
  const limits = { page: 3, maxWaiting: 3 };
  expect(await stepFailedReplay(api.pool, limits)).toMatchObject({ webhook_id: full, is_full: true });
  // Its turn comes later, so its deliveries are not counted again.
  const { db, rowsRead } = explaining(api.pool);
  expect(await stepFailedReplay(db, limits)).toBeUndefined();
  expect(rowsRead('webhook_parked')).toBe(0);
  expect(await replay(free, '2026-01-05T00:00:00Z')).toBe(202);
  expect(await stepFailedReplay(api.pool, limits)).toMatchObject({ webhook_id: free, is_over: true });

  expect(await replay(full, '2026-01-06T00:00:00.000001Z')).toBe(409);
  await api.call('POST', `/webhooks/${full}/pause`, { key: account.key });
  expect(await replay(full, '2026-01-06T00:00:00.000001Z')).toBe(202);
  const { rows } = await api.pool.query('select failed_from::text from webhook_replays');
  expect(rows).toEqual([{ failed_from: '2026-01-06 00:00:00.000001+00' }]);
  expect(
    (await api.call('GET', `/webhooks/${full}/stats`, { key: account.key })).json.failed_replay,
  ).toMatchObject({ from: '2026-01-06T00:00:00.000Z' });
  expect(await stepFailedReplay(api.pool)).toBeUndefined();
  await api.call('POST', `/webhooks/${full}/resume`, { key: account.key });
  expect(await stepFailedReplay(api.pool)).toMatchObject({ webhook_id: full, is_over: true });
});
