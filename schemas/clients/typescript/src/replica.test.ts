import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { secretToKey, sign } from '../../../../shared/runtime/signing.ts';
import { waitFor } from '../../../../test/support/wait-for.ts';
import { openLocalTandem, SECRET } from '../test/local-tandem.ts';
import { ApiError, JobError, Replica, Tandem } from './index.ts';
import type { ReplicaStore } from './replica-store.ts';
import { SqliteStore } from './sqlite.ts';

const BIG = '9007199254740993';
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tandem-replica-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function openReplica() {
  const tandem = await openLocalTandem();
  const store = new SqliteStore(join(folder, 'replica.db'));
  const client = new Tandem({ baseUrl: tandem.url, key: 'tk_1' });
  const records = () =>
    store.database
      .prepare('select _json from invoices order by _json')
      .all()
      .map((row) => row._json);
  const create = (own: ReplicaStore = store) => new Replica({ client, store: own, resources: ['invoices'] });
  return {
    ...tandem,
    store,
    client,
    records,
    create,
    replica: create(),
    [Symbol.asyncDispose]: async () => {
      store.close();
      await tandem[Symbol.asyncDispose]();
    },
  };
}

const row = (id: string, total: string, memo = '"a"') => `{"id":${id},"total":"${total}","memo":${memo}}`;
const updated = (id: string, data: string, more = '') => ({
  type: 'invoice.updated',
  key: `{"id":${id}}`,
  data,
  more,
});

test('it begins with the export, follows the feed from there, and keeps every digit and line', async () => {
  await using world = await openReplica();
  world.add(updated('1', row('1', '0.10')));
  world.world.lines = [row('1', '10.00', '"\u2028 \\n"'), row(BIG, '1.10')];
  await world.replica.sync();
  expect(world.records()).toEqual([row('1', '10.00', '"\u2028 \\n"'), row(BIG, '1.10')]);
  expect(world.store.database.prepare(`select total from invoices where id = ${BIG}`).get()).toEqual({
    total: '1.10',
  });
  world.add(updated(BIG, row(BIG, '2.20')));
  world.add({ type: 'invoice.deleted', key: '{"id":1}', data: row('1', '10.00') });
  world.add({ type: 'invoice.created', key: '{"id":3}', data: row('3', '3.00') });
  world.add({ type: 'customer.created', resource: 'customers', key: '{"id":3}', data: '{"id":3}' });
  await world.replica.sync();
  expect(world.records()).toEqual([row('3', '3.00'), row(BIG, '2.20')]);
});

test('values that did not change are kept, in the order of the columns', async () => {
  await using world = await openReplica();
  world.world.lines = [row('1', '10.00', '"long"')];
  await world.replica.sync();
  world.add(updated('1', '{"id":1,"memo":"new"}', ',"unchanged":["total"]'));
  await world.replica.sync();
  expect(world.records()).toEqual([row('1', '10.00', '"new"')]);
  // Without the record that has the value, only a new export helps.
  world.world.lines = [row('2', '7.00')];
  world.add(updated('2', '{"id":2,"memo":"new"}', ',"unchanged":["total"]'));
  await world.replica.sync();
  expect(world.records()).toEqual([row('2', '7.00')]);
  expect(world.world.exports).toBe(2);
});

test('a reset loads a new export beside the old records, and takes the old ones away at once', async () => {
  await using world = await openReplica();
  world.world.lines = [row('1', '1.00'), row('2', '2.00')];
  await world.replica.sync();
  world.add({
    type: 'feed.reset',
    resource: 'customers',
    data: '{"reason":"table_truncated","resources":["customers"]}',
  });
  await world.replica.sync();
  expect(world.world.exports).toBe(1);
  world.add({ type: 'feed.reset', data: '{"reason":"table_truncated","resources":["invoices"]}' });
  // The export holds what is later than these.
  world.add(updated('1', row('1', '7.00')));
  world.add(updated('1', row('1', '8.00')));
  world.world.lines = [row('1', '9.00')];
  const reasons: string[] = [];
  const seen: unknown[] = [];
  await world.replica.sync({
    onReset: (reason) => reasons.push(reason),
    onProgress: () => seen.push(world.records().length),
  });
  expect(reasons).toEqual(['table_truncated']);
  expect(new Set(seen)).toEqual(new Set([2]));
  expect(world.records()).toEqual([row('1', '9.00')]);
  expect(world.store.database.prepare('select count(*) as n from tandem_records').get()).toEqual({ n: 1 });
});

test('a resource that cannot be sent waits for the end of that, and only then for a new export', async () => {
  await using world = await openReplica();
  world.world.lines = [row('1', '1.00')];
  await world.replica.sync();
  const reset = (reason: string) =>
    world.add({ type: 'feed.reset', data: `{"reason":"${reason}","resources":["invoices"]}` });
  reset('row_unencodable');
  await world.replica.sync();
  expect((await world.replica.status()).stalled).toEqual({ invoices: 'row_unencodable' });
  expect(world.world.exports).toBe(1);
  reset('resource_resumed');
  await world.replica.sync();
  expect(await world.replica.status()).toMatchObject({ stalled: {}, exportId: 'exp_2', isLoaded: true });
});

test('a feed that no longer reaches back begins again with a new export', async () => {
  await using world = await openReplica();
  await world.replica.sync();
  world.world.isKept = false;
  world.world.lines = [row('1', '1.00')];
  await world.replica.sync({ onProgress: () => (world.world.isKept = true) });
  expect(world.records()).toEqual([row('1', '1.00')]);
});

test('an export that fails is the caller’s error, and the next try asks for another', async () => {
  await using world = await openReplica();
  world.world.status = 'failed';
  await expect(world.replica.sync()).rejects.toThrow(JobError);
  world.world.status = 'completed';
  world.world.lines = [row('1', '1.00')];
  await world.replica.sync();
  expect(world.records()).toEqual([row('1', '1.00')]);
  expect(world.world.exports).toBe(2);
});

test('a reload is a new export', async () => {
  await using world = await openReplica();
  world.world.lines = [row('1', '1.00')];
  await world.replica.sync();
  world.world.lines = [row('2', '2.00')];
  await world.replica.reload();
  expect(world.records()).toEqual([row('2', '2.00')]);
});

test('other resources begin a new load', async () => {
  await using world = await openReplica();
  await world.replica.sync();
  const { client, store } = world;
  await new Replica({ client, store, resources: ['invoices', 'invoices'] }).sync();
  expect(world.world.exports).toBe(1);
  await new Replica({ client, store, resources: ['customers', 'invoices'] }).sync();
  expect(world.world.exports).toBe(2);
});

test('whatever transaction a process dies in, the next one ends with the same records', async () => {
  for (let dies = 1; dies <= 40; dies += 1) {
    rmSync(folder, { recursive: true });
    folder = mkdtempSync(join(tmpdir(), 'tandem-replica-'));
    await using world = await openReplica();
    world.world.lines = [row('1', '1.00'), row('2', '2.00')];
    await world.replica.load();
    world.add(updated('1', row('1', '1.50')));
    world.add({ type: 'feed.reset', data: '{"reason":"table_truncated","resources":["invoices"]}' });
    world.world.lines = [row('3', '3.00'), row('4', '4.00'), row('5', '5.00')];
    let left = dies;
    // Dies before or after the commit, in turns.
    const dying: ReplicaStore = {
      async transaction(work) {
        left -= 1;
        if (left === 0 && dies % 2 === 0) throw new Error('killed');
        const result = await world.store.transaction(work);
        if (left <= 0) throw new Error('killed');
        return result;
      },
    };
    const first = await world
      .create(dying)
      .sync()
      .then(
        () => 'ended',
        () => 'killed',
      );
    world.add(updated('3', row('3', '3.50')));
    world.add({ type: 'invoice.deleted', key: '{"id":4}', data: row('4', '4.00') });
    // An export that is made only now holds both.
    world.world.lines = [row('3', '3.50'), row('5', '5.00')];
    await world.create().sync();
    expect(world.records()).toEqual([row('3', '3.50'), row('5', '5.00')]);
    expect(world.world.exports).toBe(2);
    if (first === 'ended') {
      expect(dies).toBeGreaterThan(10);
      return;
    }
  }
  throw new Error('the replica needs more transactions than were tried');
});

test('webhooks: each request is verified and applied once, in batches, through repeats and resets', async () => {
  await using world = await openReplica();
  world.world.lines = [row('1', '1.00')];
  const ended = new AbortController();
  const post = (body: string, secret = SECRET) => {
    const timestamp = Math.floor(Date.now() / 1_000);
    const headers = {
      'webhook-id': 'id',
      'webhook-timestamp': String(timestamp),
      'webhook-signature': sign([secretToKey(secret)], 'id', timestamp, Buffer.from(body)),
    };
    return world.replica.receive(headers, body);
  };
  const batch = (...events: string[]) => `{"id":"bat_1","type":"batch","events":[${events.join(',')}]}`;
  const first = world.add(updated('1', row('1', '1.10')));
  expect(await post(first)).toBe(503);
  const following = world.replica.follow({
    signal: ended.signal,
    webhook: { url: 'https://example.com/hook' },
  });
  await waitFor('the endpoint', () => world.world.webhooks.length === 1);
  expect(JSON.parse(world.world.webhooks[0] ?? '')).toMatchObject({
    url: 'https://example.com/hook',
    events: ['*'],
    order: 'strict',
    start: { after_export: 'exp_1' },
  });
  await waitFor('whk_1', async () => (await world.replica.status()).webhookId === 'whk_1');
  expect(await post(first, `whsec_${Buffer.alloc(32, 9).toString('base64')}`)).toBe(401);
  const second = world.add(updated('1', row('1', '1.20')));
  const third = world.add({ type: 'invoice.deleted', key: '{"id":1}', data: row('1', '1.20') });
  const test =
    '{"id":"test_1","type":"webhook.test","position":null,"resource":"webhook","key":{"id":"whk_1"},"data":{}}';
  expect(await post(test)).toBe(204);
  expect(await post(batch(first, second))).toBe(204);
  expect(world.records()).toEqual([row('1', '1.20')]);
  expect(await post(batch(second, third))).toBe(204);
  // A late repeat does not bring the record back.
  expect(await post(batch(first, second))).toBe(204);
  expect(world.records()).toEqual([]);
  world.world.lines = [row('7', '7.00')];
  const reset = world.add({ type: 'feed.reset', data: '{"reason":"changes_lost","resources":["invoices"]}' });
  expect(await post(reset)).toBe(204);
  await waitFor('whk_2', async () => (await world.replica.status()).webhookId === 'whk_2');
  expect(world.records()).toEqual([row('7', '7.00')]);
  expect(
    world.server.requests.some(({ method, url }) => method === 'DELETE' && url === '/webhooks/whk_1'),
  ).toBe(true);
  ended.abort();
  await following;
  // What the endpoint of a former export still brings may be in the new one.
  await world.replica.reload();
  expect(await post(first)).toBe(503);
});

test('a process that starts again asks for the event that all others wait for, and for a new export when its endpoint is disabled or has given up an event', async () => {
  await using world = await openReplica();
  const follow = async (until: () => Promise<boolean> | boolean) => {
    const ended = new AbortController();
    const following = world
      .create()
      .follow({ signal: ended.signal, webhook: { url: 'https://example.com/hook' } });
    await waitFor('what is awaited', until);
    ended.abort();
    await following;
  };
  await follow(async () => (await world.replica.status()).webhookId === 'whk_1');
  world.world.heldBy = 'evt_9';
  await follow(() => world.world.redelivered.length > 0);
  expect(world.world.redelivered).toEqual(['evt_9']);
  expect(world.world.exports).toBe(1);
  world.world.webhookStatus = 'disabled';
  await follow(async () => (await world.replica.status()).webhookId === 'whk_2');
  expect(world.world.exports).toBe(2);
  world.world.webhookStatus = 'active';
  world.world.deadLetters = ['evt_9'];
  await follow(async () => (await world.replica.status()).webhookId === 'whk_3');
  expect(world.world.exports).toBe(3);
});

test('an outage of the server or of a gateway in front of it does not end follow, and a wrong request does', async () => {
  await using world = await openReplica();
  const client = new Tandem({ baseUrl: world.url, key: 'tk_1', maxRetries: 0 });
  const replica = new Replica({ client, store: world.store, resources: ['invoices'] });
  world.world.outage = [502, 500, 429, 403];
  const seen: unknown[] = [];
  const following = replica.follow({
    pollMs: 1,
    onError: (error) => seen.push(error instanceof ApiError ? error.status : error),
    signal: AbortSignal.timeout(120_000),
  });
  await expect(following).rejects.toMatchObject({ status: 403 });
  expect(seen).toEqual([502, 500, 429]);
});

test('records of other loads are looked for once after opening and after each load, and by the primary key', async () => {
  const prepare = vi.spyOn(DatabaseSync.prototype, 'prepare');
  await using world = await openReplica();
  const texts = prepare.mock.calls.map(([text]) => text).filter((text) => text.includes('tandem_records'));
  prepare.mockRestore();
  let looks = 0;
  const counting: ReplicaStore = {
    transaction: (work) =>
      world.store.transaction((transaction) => {
        const dropOthers = (loads: readonly number[], limit: number) => {
          looks += 1;
          return transaction.dropOthers(loads, limit);
        };
        return work({ ...transaction, dropOthers });
      }),
  };
  const replica = world.create(counting);
  for (let syncs = 0; syncs < 3; syncs += 1) await replica.sync();
  expect(looks).toBe(1);
  await replica.reload();
  await replica.sync();
  expect(looks).toBe(2);
  await world.create(counting).sync();
  expect(looks).toBe(3);
  const left = { data: '{}', position: null, at: null };
  await world.store.transaction(async ({ write, dropOthers }) => {
    for (const load of [1, 2, 3, 4, 5, 6])
      for (const key of ['a', 'b']) await write(load, 'customers', key, left);
    expect(await dropOthers([5, 2], 7)).toBe(true);
    expect(await dropOthers([5, 2], 7)).toBe(false);
  });
  const loads = 'select distinct load from tandem_records order by load';
  expect(world.store.database.prepare(loads).all()).toEqual([{ load: 2 }, { load: 5 }]);
  for (const text of texts) {
    const plan = world.store.database.prepare(`explain query plan ${text}`).all();
    expect(plan.map(({ detail }) => detail).join('; ')).not.toContain('SCAN tandem_records');
  }
  expect(texts.some((text) => text.includes('limit ?'))).toBe(true);
});

test('deleted records are remembered for their days, and then removed', async () => {
  await using world = await openReplica();
  world.world.lines = [row('1', '1.00')];
  await world.replica.sync();
  const deleted = world.add({ type: 'invoice.deleted', key: '{"id":1}', data: row('1', '1.00') });
  await world.replica.sync();
  const count = () => world.store.database.prepare('select count(*) as n from tandem_records').get()?.n;
  expect(count()).toBe(1);
  const later = (day: string) => {
    const text = world.add(updated('2', row('2', '2.00')));
    world.world.events[world.world.events.length - 1] = text.replace('2026-03-01', day);
  };
  later('2026-04-14');
  await world.replica.sync();
  expect(count()).toBe(2);
  later('2026-04-16');
  await world.replica.sync();
  expect(count()).toBe(1);
  expect(deleted).toContain('2026-03-01');
});
