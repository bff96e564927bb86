import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createEventKeeper, ensurePartitions } from '../../../services/dispatcher/record/event-partitions.ts';
import { markMissed } from '../../../shared/control/webhooks/endpoint-status.ts';
import { eventId } from '../../../shared/domain/position.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { openTestApi, type TestApi } from '../../support/api-server.ts';

const OLD = '2026-01-01';
const KEPT_SINCE = '2026-01-02';

let api: TestApi;
let account: { id: string; key: string };
beforeAll(async () => {
  api = await openTestApi();
  await ensurePartitions(api.pool, [OLD, KEPT_SINCE]);
});
afterAll(() => api[Symbol.asyncDispose]());
beforeEach(async () => {
  account = await api.account();
});

const call = (method: string, path: string, body?: unknown) =>
  api.call(method, path, { key: account.key, ...(body === undefined ? {} : { body }) });
const subscribe = async (events: string[]) =>
  (await call('POST', '/webhooks', { url: 'https://example.com/hook', events })).json.id as string;
const record = (lsn: number, type: string, day: string) =>
  api.pool.query(
    `insert into events (commit_lsn, idx, account_id, xid, type, resource, record_key, committed_at, payload)
     values ('0/0'::pg_lsn + $1::int, 0, $2, 1, $3, 'invoices', '["1"]', $4::date + time '12:00', '{}')`,
    [lsn, account.id, type, day],
  );
const setCursor = (id: string, lsn: number) =>
  api.pool.query(`update webhooks set cursor_lsn = '0/0'::pg_lsn + $2::int where id = $1`, [id, lsn]);

test('an endpoint that has yet to get what is dropped is disabled, and goes on only from another place', async () => {
  const id = await subscribe(['invoice.*']);
  await call('POST', `/webhooks/${id}/pause`);
  await record(10, 'invoice.created', OLD);
  await record(20, 'invoice.updated', KEPT_SINCE);
  expect(await markMissed(api.pool, KEPT_SINCE)).toEqual([id]);
  expect(await markMissed(api.pool, KEPT_SINCE)).toEqual([]);
  expect((await call('GET', `/webhooks/${id}`)).json).toMatchObject({
    status: 'disabled',
    status_reason: expect.stringContaining('no longer retained'),
  });
  expect((await call('POST', `/webhooks/${id}/resume`)).status).toBe(409);
  const since = eventId({ commitLsn: 10n, index: 0 });
  expect((await call('POST', `/webhooks/${id}/replay`, { since })).status).toBe(200);
  expect((await call('POST', `/webhooks/${id}/resume`)).json).toMatchObject({
    status: 'active',
    status_reason: null,
  });
});

test('one that got it, did not ask for it, or has later events only goes on', async () => {
  const got = await subscribe(['*']);
  const other = await subscribe(['customer.*', 'invoice.deleted']);
  await record(10, 'invoice.created', OLD);
  await record(20, 'invoice.updated', KEPT_SINCE);
  await setCursor(got, 10);
  expect(await markMissed(api.pool, KEPT_SINCE)).toEqual([]);
  await setCursor(got, 9);
  expect(await markMissed(api.pool, KEPT_SINCE)).toEqual([got]);
  await record(11, 'feed.reset', OLD);
  expect(await markMissed(api.pool, KEPT_SINCE)).toEqual([other]);
});

test('a delivery that still waits to be retried counts as one it has yet to get', async () => {
  const id = await subscribe(['*']);
  await setCursor(id, 50);
  await record(10, 'invoice.created', OLD);
  const scheduleRetry = (state: string) =>
    api.pool.query(
      `insert into webhook_parked (webhook_id, commit_lsn, idx, committed_at, record_key, state)
       values ($1, '0/A', 0, $2::date + time '12:00', 'invoices/["1"]', $3)
       on conflict (webhook_id, commit_lsn, idx) do update set state = excluded.state`,
      [id, OLD, state],
    );
  await scheduleRetry('dead');
  expect(await markMissed(api.pool, KEPT_SINCE)).toEqual([]);
  await scheduleRetry('waiting');
  expect(await markMissed(api.pool, KEPT_SINCE)).toEqual([id]);
});

test('attempts and their statistics are kept for a week', async () => {
  const id = await subscribe(['*']);
  await api.pool.query(
    `insert into webhook_attempts (webhook_id, event_id, attempt, started_at, duration_ms, outcome)
     select $1, 'evt_1', days, now() - days * interval '1 day', 5, 'delivered' from unnest(array[6, 8]) days`,
    [id],
  );
  await api.pool.query(
    `insert into webhook_stats (webhook_id, bucket, delivered, failed, delivered_events, failed_events, durations)
     select webhook_id, started_at, 1, 0, 1, 0, '{1}' from webhook_attempts where webhook_id = $1`,
    [id],
  );
  const stop = new AbortController();
  const keeper = createEventKeeper({ eventRetentionDays: 30 }, api.pool, silentLog);
  const running = keeper.run(stop.signal);
  await keeper.ready;
  stop.abort();
  await running;
  const countOf = async (table: string) =>
    (await api.pool.query(`select count(*)::int as count from ${table} where webhook_id = $1`, [id])).rows[0]
      .count;
  expect([await countOf('webhook_attempts'), await countOf('webhook_stats')]).toEqual([1, 1]);
});
