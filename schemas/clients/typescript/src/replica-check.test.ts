import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { secretToKey, sign } from '../../../../shared/runtime/signing.ts';
import vectors from '../../../../test/golden/record-digests.json' with { type: 'json' };
import { waitFor } from '../../../../test/support/wait-for.ts';
import { openLocalTandem, SECRET } from '../test/local-tandem.ts';
import { Replica, ReplicaError, Tandem } from './index.ts';
import { bucketOf, canonicalOf, DigestSum, digestOf } from './record-digest.ts';
import { SqliteStore } from './sqlite.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tandem-check-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

const row = (id: number, total: string) => `{"id":${id},"total":"${total}","memo":null}`;
const updated = (id: number, data: string) => ({ type: 'invoice.updated', key: `{"id":${id}}`, data });

async function openReplica(lines: readonly string[]) {
  const tandem = await openLocalTandem();
  tandem.world.lines = [...lines];
  const store = new SqliteStore(join(folder, 'replica.db'));
  const client = new Tandem({ baseUrl: tandem.url, key: 'tk_1' });
  const create = () => new Replica({ client, store, resources: ['invoices'] });
  const replica = create();
  await replica.sync();
  return {
    ...tandem,
    store,
    replica,
    create,
    records: () =>
      store.database
        .prepare('select _json from invoices order by id')
        .all()
        .map((each) => each._json),
    state: () => JSON.parse(String(store.database.prepare('select state from tandem_state').get()?.state)),
    [Symbol.asyncDispose]: async () => {
      store.close();
      await tandem[Symbol.asyncDispose]();
    },
  };
}

test.each(vectors.records)('the digest of $record is that of its canonical form', async (each) => {
  expect(canonicalOf(each.record)).toBe(each.canonical);
  expect(await digestOf(each.record)).toBe(each.digest);
  expect(await bucketOf(each.key)).toBe(each.bucket);
});

test('the sum of digests is that of the vectors, also by Web Crypto, as in browsers', async () => {
  const getBuiltinModule = vi.spyOn(process, 'getBuiltinModule').mockReturnValue(undefined as never);
  const sum = new DigestSum();
  for (const { record } of vectors.records) sum.add(await digestOf(record));
  expect(getBuiltinModule).toHaveBeenCalled();
  getBuiltinModule.mockRestore();
  expect(sum).toMatchObject({ rows: vectors.records.length, digest: vectors.sum });
});

test('a replica is equal at the cut, with every event before it and none from there on', async () => {
  await using world = await openReplica([row(1, '1.00'), row(2, '2.00')]);
  for (const total of ['1.10', '1.20', '1.30']) world.add(updated(1, row(1, total)));
  world.world.lines = [row(1, '1.30'), row(2, '2.00')];
  // Two pages of two events: the cut is within the second.
  world.world.onExport = () => void world.add(updated(2, row(2, '9.00')));
  const check = await world.replica.verify();
  expect(check).toMatchObject({
    isEqual: true,
    position: '0000000000000001-0000000004',
    unchecked: {},
    resources: [{ resource: 'invoices', isEqual: true, source: { rows: 2 }, differences: [] }],
  });
  expect(check.resources[0]?.replica).toEqual(check.resources[0]?.source);
  expect(world.records()).toEqual([row(1, '1.30'), row(2, '2.00')]);
  expect(world.state().check).toBeUndefined();
  await world.replica.sync();
  expect(world.records()).toEqual([row(1, '1.30'), row(2, '9.00')]);
});

test('a record that is changed, one that is missing and one too many are found', async () => {
  const lines = Array.from({ length: 1_200 }, (_, id) => row(id, `${id}.00`));
  await using world = await openReplica(lines);
  const run = (sql: string) => world.store.database.exec(sql);
  run(`update tandem_records set data = replace(data, '"7.00"', '"7.01"') where key = '{"id":7}'`);
  run(`delete from tandem_records where key = '{"id":8}'`);
  run(`insert into tandem_records values (1, 'invoices', '{"id":5000}', '${row(5000, '1')}', null, null)`);
  const check = await world.replica.verify();
  expect(check.isEqual).toBe(false);
  const [invoices] = check.resources;
  expect(invoices).toMatchObject({ isEqual: false, isComplete: true });
  expect(invoices?.replica.rows).toBe(invoices?.source.rows);
  expect(invoices?.differences.toSorted((a, b) => a.key.localeCompare(b.key))).toEqual([
    { key: '{"id":5000}', kind: 'extra' },
    { key: '{"id":7}', kind: 'changed' },
    { key: '{"id":8}', kind: 'missing' },
  ]);
  const buckets = await Promise.all(['{"id":7}', '{"id":8}', '{"id":5000}'].map(bucketOf));
  expect(invoices?.buckets).toEqual([...new Set(buckets)].sort((a, b) => a - b));
});

test('a column that was added without values makes no difference', async () => {
  await using world = await openReplica(['{"id":1,"total":"1.00"}']);
  world.world.lines = ['{"id":1,"total":"1.00","added":null}'];
  expect((await world.replica.verify()).isEqual).toBe(true);
});

test('events wait in every process until the check is over or its process has died', async () => {
  await using world = await openReplica([row(1, '1.00')]);
  const others: Promise<void>[] = [];
  world.world.onExport = () => {
    world.add(updated(1, row(1, '2.00')));
    others.push(world.create().sync());
  };
  expect((await world.replica.verify()).isEqual).toBe(true);
  await Promise.all(others);
  expect(world.records()).toEqual([row(1, '2.00')]);
  // Of a process that was killed a minute ago.
  const hold = (expiresAt: number) =>
    world.store.transaction(async ({ writeState }) =>
      writeState(
        JSON.stringify({
          ...world.state(),
          check: { id: 'x', expiresAt: new Date(expiresAt).toISOString() },
        }),
      ),
    );
  await hold(Date.now() + 60_000);
  await expect(world.create().verify()).rejects.toThrow('Another check of this replica runs.');
  await hold(Date.now() - 1);
  world.world.onExport = () => {};
  world.world.lines = [row(1, '2.00')];
  expect((await world.create().verify()).isEqual).toBe(true);
});

test('a webhook during a check is to come again, and the check starts where strict order has come', async () => {
  await using world = await openReplica([row(1, '1.00')]);
  const ended = new AbortController();
  const following = world.replica.follow({ signal: ended.signal, webhook: { url: 'https://x.example' } });
  const post = async (body: string) => {
    const timestamp = Math.floor(Date.now() / 1_000);
    const headers = {
      'webhook-id': 'id',
      'webhook-timestamp': String(timestamp),
      'webhook-signature': sign([secretToKey(SECRET)], 'id', timestamp, Buffer.from(body)),
    };
    return world.replica.receive(headers, body);
  };
  await waitFor('the endpoint', async () => (await world.replica.status()).webhookId === 'whk_1');
  expect(await post(world.add(updated(1, row(1, '1.10'))))).toBe(204);
  const before = world.add(updated(1, row(1, '1.20')));
  world.world.lines = [row(1, '1.20')];
  const during: number[] = [];
  world.world.onExport = async () => during.push(await post(before));
  expect((await world.replica.verify()).isEqual).toBe(true);
  expect(during).toEqual([503]);
  const asked = world.server.requests.filter(({ url }) => url.startsWith('/events')).at(-1)?.url;
  expect(asked).toContain('after=0000000000000001-0000000001&after_export=exp_1');
  // What the check has pulled changes nothing when it comes.
  expect(await post(before)).toBe(204);
  expect(world.records()).toEqual([row(1, '1.20')]);
  ended.abort();
  await following;
});

test('a replica that is past the cut is compared at a later one', async () => {
  await using world = await openReplica([row(1, '1.00')]);
  world.add(updated(1, row(1, '1.10')));
  await world.replica.sync();
  world.world.lines = [row(1, '1.10')];
  world.world.cutsBehind = [1];
  expect((await world.replica.verify()).isEqual).toBe(true);
  expect(world.world.cancelled).toEqual(['exp_2']);
});

test('a check whose hold is lost ends, and the export with it', async () => {
  await using world = await openReplica([row(1, '1.00')]);
  world.add(updated(1, row(1, '1.10')));
  world.world.onExport = () => {
    const { check: _, ...state } = world.state();
    world.store.database.prepare('update tandem_state set state = ?').run(JSON.stringify(state));
  };
  await expect(world.replica.verify()).rejects.toThrow('took too long');
  expect(world.world.cancelled).toEqual(['exp_2']);
  expect(world.records()).toEqual([row(1, '1.00')]);
});

test('a check that cannot be made says why, and lets events go on', async () => {
  await using world = await openReplica([row(1, '1.00')]);
  await expect(
    new Replica({
      ...world,
      client: new Tandem({ baseUrl: world.url, key: 'k' }),
      store: new SqliteStore(':memory:'),
      resources: ['invoices'],
    }).verify(),
  ).rejects.toThrow('sync it first');
  world.world.hasPast = false;
  await expect(world.replica.verify()).rejects.toThrow(
    /^No resource can be compared. invoices: Past states .* unless they have the account of another resource\.$/,
  );
  world.world.hasPast = true;
  world.world.status = 'failed';
  await expect(world.replica.verify()).rejects.toThrow('no disk');
  world.world.status = 'completed';
  const ended = new AbortController();
  world.world.onExport = () => ended.abort(new Error('stopped'));
  await expect(world.replica.verify({ signal: ended.signal })).rejects.toThrow('stopped');
  world.world.onExport = () => {};
  world.add({ type: 'feed.reset', data: '{"reason":"changes_lost","resources":["invoices"]}' });
  await expect(world.replica.verify()).rejects.toThrow(ReplicaError);
  expect(world.state().check).toBeUndefined();
  expect((await world.replica.status()).loading).toBe('changes_lost');
});
