import { Webhook } from 'standardwebhooks';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { createFeedStallWatch } from '../../../services/api/admin/feed-stall-watch.ts';
import { recordMoving } from '../../../services/api/admin/feed-status.ts';
import { newId } from '../../../shared/domain/ids.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { openApiOver } from '../../support/api-over-dispatcher.ts';
import { ADMIN_KEY, type TestApi } from '../../support/api-server.ts';
import { type DispatcherBed, openDispatcherBed, untilCursor } from '../../support/dispatcher.ts';
import { waitFor } from '../../support/wait-for.ts';
import { openWebhookReceiver, type WebhookReceiver } from '../../support/webhook-receiver.ts';

let bed: DispatcherBed;
let api: TestApi;
let receiver: WebhookReceiver;
let account: { id: string; key: string };

beforeAll(async () => {
  bed = await openDispatcherBed({ RETRY_SCHEDULE_SECONDS: '0.2,0.2,0.2' });
  api = await openApiOver(bed);
});
afterAll(async () => {
  await api?.[Symbol.asyncDispose]();
  await bed?.[Symbol.asyncDispose]();
});
beforeEach(async () => {
  receiver = await openWebhookReceiver();
  account = await api.account();
});
afterEach(async () => {
  await bed.pool.query('delete from webhooks');
  await receiver[Symbol.asyncDispose]();
});

const call = (method: string, path: string, body?: unknown) =>
  api.call(method, path, { key: account.key, ...(body === undefined ? {} : { body }) });
const subscribe = async (events: string[], url = receiver.url) => {
  const { json } = await call('POST', '/webhooks', { url, events });
  return json as { id: string; secret: string };
};
/** An export that runs, as far as the control store goes. */
const runExport = async () => {
  const id = newId('exp');
  await bed.pool.query(
    `insert into exports (id, account_id, request, resources, status, phase)
     values ($1, $2, '{}', '{invoices}', 'running', 'assembling')`,
    [id, account.id],
  );
  return id;
};
const complete = (id: string) =>
  bed.pool.query(
    `/* arranged */ update exports set status = 'completed', phase = 'done', rows_written = 3, completed_at = now(),
       expires_at = now() + interval '90 days' where id = $1 and status = 'running'`,
    [id],
  );
const bodies = () => receiver.received.map(({ body }) => JSON.parse(body));

test('the end of an export is told to whoever asks for it, signed, under the ID that leads to it', async () => {
  await using _dispatcher = await bed.start();
  const { id, secret } = await subscribe(['export.*']);
  await subscribe(['invoice.*', 'export.failed'], `${receiver.url}?other`);
  const exportId = await runExport();
  await complete(exportId);
  await receiver.until('the event', (list) => list.length === 1);
  const [request] = receiver.received;
  const event = bodies()[0];
  expect(event).toMatchObject({
    id: request?.id,
    type: 'export.completed',
    account_id: account.id,
    position: null,
    resource: 'export',
    key: { id: exportId },
    data: { id: exportId, status: 'completed', rows: 3, resources: ['invoices'] },
  });
  expect(() =>
    new Webhook(secret).verify(request?.body ?? '', request?.headers as Record<string, string>),
  ).not.toThrow();
  expect((await call('GET', `/events/${event.id}`)).text).toBe(request?.body);
  expect((await call('GET', '/events')).json.data).toEqual([]);
  expect((await call('GET', `/events?after=${event.id}`)).status).toBe(422);
  expect((await call('POST', `/webhooks/${id}/replay`, { since: event.id })).status).toBe(422);
  // Asked for while the first delivery is not noted yet, it would be noted as done along with that one.
  await waitFor('the delivery to be noted', async () => {
    const { rowCount } = await bed.pool.query('select 1 from webhook_parked where webhook_id = $1', [id]);
    return rowCount === 0;
  });
  await call('POST', `/events/${event.id}/redeliver`, { webhook_id: id });
  await receiver.until('it once more', (list) => list.length === 2);
  expect(receiver.received[1]?.id).toBe(event.id);
});

test('a failed export is told with its error, and a cancelled one is not told', async () => {
  await using _dispatcher = await bed.start();
  await subscribe(['*']);
  const [failed, cancelled] = [await runExport(), await runExport()];
  await bed.pool.query(`/* arranged */ update exports set status = 'cancelled' where id = $1`, [cancelled]);
  await bed.pool.query(
    `/* arranged */ update exports set status = 'failed', error = '{"code": "row_count_mismatch", "message": "2 are not 3"}' where id = $1`,
    [failed],
  );
  await receiver.until('the event', (list) => list.length === 1);
  expect(bodies()[0]).toMatchObject({
    type: 'export.failed',
    data: { id: failed, error: { code: 'row_count_mismatch' } },
  });
  const { rows } = await bed.pool.query('select 1 from account_events where account_id = $1', [account.id]);
  expect(rows).toHaveLength(1);
});

test('the end of a bulk operation is told once, with its counts, and a cancelled one is not told', async () => {
  await subscribe(['bulk.*']);
  const addJob = async () => {
    const id = newId('blk');
    await bed.pool.query(
      `insert into bulk_jobs (id, account_id, resource, operation, request, status, estimated)
       values ($1, $2, 'invoices', 'void', '{}', 'running', 3)`,
      [id, account.id],
    );
    return id;
  };
  const [completed, cancelled, failed] = [await addJob(), await addJob(), await addJob()];
  await bed.pool.query(`update bulk_jobs set succeeded = 2, skipped = 1, total = 3 where id = $1`, [
    completed,
  ]);
  const end = (id: string, status: string) =>
    bed.pool.query('/* arranged */ update bulk_jobs set status = $2, ended_at = now() where id = $1', [
      id,
      status,
    ]);
  await end(completed, 'completed');
  await end(completed, 'completed');
  await end(cancelled, 'cancelled');
  await end(failed, 'failed');
  await using _dispatcher = await bed.start();
  await receiver.until('both', (list) => list.length === 2);
  expect(bodies().find(({ type }) => type === 'bulk.completed')).toMatchObject({
    position: null,
    resource: 'bulk',
    key: { id: completed },
    data: {
      id: completed,
      status: 'completed',
      operation: 'void',
      total: 3,
      succeeded: 2,
      failed: 0,
      skipped: 1,
    },
  });
  expect(bodies().find(({ type }) => type === 'bulk.failed')).toMatchObject({ key: { id: failed } });
});

test('what happened while no dispatcher ran is told later, retried, and moves no cursor', async () => {
  const { id } = await subscribe(['*']);
  const exportId = await runExport();
  await complete(exportId);
  receiver.answer = () => (receiver.received.length < 3 ? 500 : 200);
  await using _dispatcher = await bed.start();
  await receiver.until('the third try', (list) => list.length === 3);
  expect(new Set(receiver.received.map((request) => request.id)).size).toBe(1);
  expect((await bed.endpoint(id)).cursor_lsn).toBe('0/0');
  await bed.addEvents([{ accountId: account.id, lsn: 10 }]);
  await untilCursor(bed, id, 10);
  expect(receiver.received).toHaveLength(4);
});

test('an endpoint that is disabled is told to the others, and not to itself', async () => {
  await using _dispatcher = await bed.start();
  const { id: lost } = await subscribe(['invoice.*', 'webhook.*'], `${receiver.url}?lost`);
  await subscribe(['webhook.disabled'], `${receiver.url}?told`);
  receiver.answer = ({ path }) => (path.endsWith('lost') ? 410 : 200);
  await bed.addEvents([{ accountId: account.id, lsn: 10 }]);
  await receiver.until('the notice', (list) => list.some(({ path }) => path.endsWith('told')));
  expect(JSON.parse(receiver.received.at(-1)?.body ?? '')).toMatchObject({
    type: 'webhook.disabled',
    resource: 'webhook',
    key: { id: lost },
    data: { id: lost, status: 'disabled', status_reason: expect.stringContaining('410') },
  });
  await waitFor('it to be scheduled for nobody else', async () => {
    const { rows } = await bed.pool.query('select 1 from account_events where parked_at is null');
    return rows.length === 0;
  });
  const { rows } = await bed.pool.query(
    `select 1 from webhook_parked where webhook_id = $1 and commit_lsn >= '80000000/0'`,
    [lost],
  );
  expect(rows).toEqual([]);
});

test('a replay leaves what is told beside the feed alone', async () => {
  const { id } = await subscribe(['export.*']);
  await using _dispatcher = await bed.start();
  receiver.answer = () => 500;
  await complete(await runExport());
  await waitFor('it to be given up', async () => {
    const { json } = await call('GET', `/webhooks/${id}/dead-letters`);
    return json.data.length === 1;
  });
  const since = new Date(Date.now() - 60_000).toISOString();
  expect((await call('POST', `/webhooks/${id}/replay`, { since })).status).toBe(200);
  const { json } = await call('GET', `/webhooks/${id}/dead-letters`);
  expect(json.data).toMatchObject([{ type: 'export.completed', status: 500, attempts: 4 }]);
});

test('a feed that stands still is told once to whoever asks, to probes and to the operator, and so is that it moves again', async () => {
  await using _dispatcher = await bed.start();
  await subscribe(['feed.*']);
  const moved = (seconds: number) =>
    bed.pool.query(
      `insert into feed_state (settled_lsn, passed_lsn, system_id, timeline, updated_at)
       values ('0/1', '0/1', '7', 1, now() - make_interval(secs => $1))
       on conflict (id) do update set updated_at = excluded.updated_at`,
      [seconds],
    );
  await moved(1);
  let slot: { state: 'ok' | 'warn'; reasons: []; slot: undefined; seenAtMs: number } | undefined;
  const watches = [1, 2].map(() =>
    createFeedStallWatch({
      pool: bed.pool,
      slotWatch: { latest: () => slot },
      stallAfterSeconds: 60,
      checkIntervalMs: 20,
      log: silentLog,
    }),
  );
  const stop = new AbortController();
  const running = Promise.all(watches.map((watch) => watch.run(stop.signal)));
  try {
    slot = { state: 'warn', reasons: [], slot: undefined, seenAtMs: 0 };
    await receiver.until('it to be told', (list) => list.length > 0);
    expect(bodies()[0]).toMatchObject({
      type: 'feed.stalled',
      position: null,
      data: { reason: 'slot_missing' },
    });
    const ready = await api.call('GET', '/readyz');
    expect(ready.json).toMatchObject({ warnings: ['feed_stalled'] });
    expect((await call('GET', '/feed')).json).toMatchObject({
      stalled: { reason: 'slot_missing' },
      set_aside: [],
    });
    const source = await api.call('GET', '/admin/source', { key: ADMIN_KEY });
    expect(source.json).toMatchObject({ stalled: { reason: 'slot_missing' }, set_aside: [] });
    // The feed has moved a second ago, which says nothing of the slot to who has not seen it.
    expect(await recordMoving(bed.pool, 60, false)).toBe(false);
    // The slot is back, yet nothing comes by.
    await moved(61);
    slot = undefined;
    await waitFor('the other reason', async () => {
      const { json } = await api.call('GET', '/admin/source', { key: ADMIN_KEY });
      return (json as { stalled?: { reason?: string } }).stalled?.reason === 'not_moving';
    });
    await moved(1);
    // A busy machine may deliver the first one twice.
    await waitFor('it to move', () => bodies().some(({ type }) => type === 'feed.resumed'));
    expect(bodies().at(-1)).toMatchObject({ type: 'feed.resumed', data: { reason: 'not_moving' } });
    const { rows } = await bed.pool.query(`select type from account_events where resource = 'feed'`);
    expect(rows.map(({ type }) => type)).toEqual(['feed.stalled', 'feed.resumed']);
  } finally {
    stop.abort();
    await running;
  }
});
