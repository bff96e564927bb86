import pg from 'pg';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { parseLsn } from '../../../shared/domain/lsn.ts';
import { type CaptureWorld, createCaptureWorld } from '../../support/capture-world.ts';
import { type OwnPostgres, openOwnPostgres } from '../../support/own-postgres.ts';
import { openProductPool } from '../../support/product-pool.ts';
import { openSilentProxy, type SilentProxy } from '../../support/silent-proxy.ts';
import { waitFor } from '../../support/wait-for.ts';

const SCHEMA = `
  create schema app;
  create table app.items (id bigint primary key, account_id text not null, name text, big text);
  create table app.pairs (account_id text, id bigint, body text, primary key (account_id, id));
  alter table app.pairs alter body set storage external;
`;

const CATALOG = `
catalog: faults
resources:
  items: { table: app.items, event: item, key: [id], account: account_id }
  pairs: { table: app.pairs, event: pair, key: [account_id, id], account: account_id }
`;

const cleanup = new AsyncDisposableStack();
let postgres: OwnPostgres;
let proxy: SilentProxy;
let world: CaptureWorld;
/** Past the proxy, whose connections are cut. */
let product: pg.Pool;
let nextId = 1;

beforeAll(async () => {
  postgres = await openOwnPostgres({
    max_slot_wal_keep_size: '48MB',
    max_wal_size: '64MB',
    logical_decoding_work_mem: '64kB',
    // Who waits for a standby says so.
    synchronous_commit: 'local',
  });
  cleanup.use(postgres);
  const address = new URL(postgres.url('postgres'));
  proxy = cleanup.use(await openSilentProxy('127.0.0.1', Number(address.port)));
  address.port = String(proxy.port);
  world = cleanup.use(
    await createCaptureWorld({ schemaSql: SCHEMA, catalog: CATALOG, serverUrl: address.href }),
  );
  const direct = new URL(world.url);
  direct.port = new URL(postgres.url('postgres')).port;
  product = cleanup.adopt(openProductPool({ connectionString: direct.href, max: 2 }), (each) => each.end());
});
afterAll(() => cleanup.disposeAsync());
afterEach(() => world.endAll());

/** Inserts rows in one statement and returns their IDs. */
async function insert(count = 1): Promise<string[]> {
  const ids = Array.from({ length: count }, () => String(nextId++));
  await product.query(`insert into app.items (id, account_id) select unnest($1::bigint[]), 'acme'`, [ids]);
  return ids;
}

const seenIds = () => world.reader.changes.flatMap(({ after }) => (after?.id == null ? [] : [after.id]));

/** Each of them once, in this order, with nothing between. */
async function expectNext(from: number, ids: readonly string[]): Promise<void> {
  await waitFor(`${ids.length} changes`, () => world.reader.changes.length >= from + ids.length);
  expect(seenIds().slice(from)).toEqual(ids);
}

test('a source that crashes, and one whose connections are reset, is gone on with from where the feed was', async () => {
  const { child, hasLogged } = world.spawn();
  await waitFor('it to stream', () => hasLogged('feed.started'));
  const from = world.reader.changes.length;
  const ids = await insert(3);
  await postgres.crash();
  await postgres.start();
  ids.push(...(await insert(2)));
  await expectNext(from, ids);
  proxy.cut();
  ids.push(...(await insert(2)));
  await expectNext(from, ids);
  expect(child.exitCode).toBeNull();
});

test('rows that share their place in the log, cut by a kill, come once each', async () => {
  const from = world.reader.changes.length;
  const client = await product.connect();
  await client.query('begin');
  // Several multi-row records; more rows than one Kafka transaction takes.
  const ids = Array.from({ length: 6_000 }, () => String(nextId++));
  await client.query(`insert into app.items (id, account_id) select unnest($1::bigint[]), 'acme'`, [ids]);
  await client.query('commit');
  client.release();
  for (let life = 1; life <= 2; life += 1) {
    const { kill } = world.spawn();
    const wanted = Math.min(from + life * 1_000, from + ids.length);
    await waitFor('a part of it', () => world.reader.changes.length >= wanted);
    await kill();
  }
  await world.start();
  await expectNext(from, ids);
  const positions = world.reader.changes.slice(from).map(({ commitLsn, index }) => `${commitLsn}/${index}`);
  expect(new Set(positions).size).toBe(ids.length);
});

test('a COPY comes row by row, and a prepared transaction once it is committed', async () => {
  await world.start();
  const from = world.reader.changes.length;
  await product.query(
    `copy app.items (id, account_id) from program 'for i in 900001 900002 900003; do printf "%s\\tacme\\n" $i; done'`,
  );
  await expectNext(from, ['900001', '900002', '900003']);
  const client = await product.connect();
  await client.query(`begin; insert into app.items values (900004, 'acme'); prepare transaction 'later'`);
  client.release();
  const [id = ''] = await insert();
  await expectNext(from + 3, [id]);
  await product.query(`commit prepared 'later'`);
  await expectNext(from + 3, [id, '900004']);
});

const LIMIT_MS = 180_000;

/** What the feed said last of a pair. */
const lastPair = (id: string) =>
  world.reader.changes.findLast(({ resource, after }) => resource === 'pairs' && after?.id === id);

async function configure(...statements: readonly string[]): Promise<void> {
  for (const statement of statements) await product.query(statement);
  await product.query('select pg_reload_conf()');
}

test('a value that was not sent is read once its change is visible, and not from the record that had the key', async () => {
  await product.query(
    `insert into app.pairs values ('acme', 1, repeat('own', 3000)), ('acme', 2, repeat('other', 2000))`,
  );
  await world.start();
  await waitFor('the rows', () => lastPair('2') !== undefined, LIMIT_MS);
  const direct = new URL(world.url);
  direct.port = new URL(postgres.url('postgres')).port;
  const [probe, stalled] = [0, 1].map(() => new pg.Client({ connectionString: direct.href }));
  if (probe === undefined || stalled === undefined) throw new Error('no clients');
  for (const client of [probe, stalled]) {
    await client.connect();
    await client.query('set synchronous_commit = on');
  }
  const isAny = async (condition: string) => {
    const { rowCount } = await product.query(
      `select from pg_stat_activity where ${condition} and pid <> pg_backend_pid() limit 1`,
    );
    return rowCount === 1;
  };
  await configure(`alter system set synchronous_standby_names = 'nobody'`);
  let probing: Promise<unknown> | undefined;
  await waitFor('commits to stall', () => {
    probing ??= probe.query(`select pg_logical_emit_message(true, 'probe', '')`).finally(() => {
      probing = undefined;
    });
    return isAny("wait_event = 'SyncRep'");
  });
  const committing = stalled.query(
    'begin; delete from app.pairs where id = 2; update app.pairs set id = 2 where id = 1; commit',
  );
  await waitFor('capture to ask for the row', () => isAny(`query like '%"body" end as v0%'`), LIMIT_MS);
  // What nobody waits for goes on.
  const { rows } = await product.query('select body from app.pairs where id = 2');
  expect(rows[0]?.body).toContain('other');
  await configure('alter system reset synchronous_standby_names');
  await Promise.all([committing, probing]);
  await Promise.all([probe.end(), stalled.end()]);
  await waitFor('the moved row', () => lastPair('2')?.filled !== undefined, LIMIT_MS);
  expect(lastPair('2')?.after?.body).toBe('own'.repeat(3000));
}, 600_000);

test('a value that was not sent is on disk before it is told, so that no crash takes it back', async () => {
  await product.query(`insert into app.pairs values ('acme', 11, repeat('early', 2000))`);
  // An asynchronous commit stays in memory.
  await configure(`alter system set wal_writer_delay = '10s'`);
  await product.query('update app.pairs set id = 12 where id = 11');
  await product.query(
    `begin; set local synchronous_commit = off; update app.pairs set body = repeat('later', 2000) where id = 12; commit`,
  );
  const { hasLogged } = world.spawn();
  await waitFor('it to stream', () => hasLogged('feed.started'), LIMIT_MS);
  await waitFor('the moved row', () => lastPair('12') !== undefined, LIMIT_MS);
  expect(lastPair('12')?.after?.body).toContain('later');
  await postgres.crash();
  await postgres.start();
  const { rows } = await product.query('select body from app.pairs where id = 12');
  expect(rows[0]?.body).toContain('later');
  await waitFor('the later change', () => lastPair('12')?.op === 'update', LIMIT_MS);
  await configure('alter system reset wal_writer_delay');
}, 600_000);

test('a transaction much larger than the server decodes in memory goes through in order', async () => {
  const { child, hasLogged } = world.spawn(['--max-old-space-size=128']);
  await waitFor('it to stream', () => hasLogged('feed.started'));
  const from = world.reader.changes.length;
  const rowCount = 60_000;
  await product.query(
    `insert into app.items select n, 'big', repeat('p', 100) from generate_series(1000001, 1000000 + $1::int) n`,
    [rowCount],
  );
  const [id] = await insert();
  await waitFor('all of it', () => world.reader.changes.length > from + rowCount);
  const changes = world.reader.changes.slice(from);
  const large = changes.filter(({ account }) => account === 'big');
  expect(large).toHaveLength(rowCount);
  expect(large.every(({ index }, place) => index === place)).toBe(true);
  expect(changes.some(({ after }) => after?.id === id)).toBe(true);
  expect(child.exitCode).toBeNull();
});

test('a slot that has lost its WAL stops the feed, and comes back as the message says', async () => {
  const running = await world.start();
  const [first = ''] = await insert();
  await waitFor('the feed', () => seenIds().includes(first));
  await running.stop();
  await insert();
  for (let segment = 0; segment < 12; segment += 1) {
    await product.query(`select pg_logical_emit_message(false, 'filler', repeat('x', 8000000))`);
    await product.query('select pg_switch_wal()');
  }
  await waitFor('the slot to be invalidated', async () => {
    await product.query('checkpoint');
    const { rows } = await product.query('select wal_status from pg_replication_slots where slot_name = $1', [
      world.prefix,
    ]);
    return rows[0]?.wal_status === 'lost';
  });
  const failure = await world.start().catch((error: unknown) => error);
  expect(failure).toMatchObject({ cause: { name: 'GapPossibleError', reason: 'slot_lost' } });
  const { message } = (failure as { cause: Error }).cause;
  expect(message).toContain('max_slot_wal_keep_size');
  await expect(world.prepare()).rejects.toThrow(/pg_drop_replication_slot/);

  await product.query('select pg_drop_replication_slot($1)', [world.prefix]);
  await world.prepare();
  const from = world.reader.changes.length;
  const accepted = /ACCEPT_GAP_AFTER=([0-9A-F/]+)/.exec(message)?.[1] ?? '';
  await world.start({ ACCEPT_GAP_AFTER: accepted });
  const [id] = await insert();
  await waitFor('the feed to go on', () => world.reader.changes.at(-1)?.after?.id === id);
  const told = world.reader.changes.slice(from, -1);
  expect(new Set(told.map(({ op, resource }) => `${op} ${resource}`))).toEqual(
    new Set(['truncate items', 'truncate pairs']),
  );
  // Each on every partition, once.
  expect(told).toHaveLength(24);
});

test('a slot of another name is no new feed: what came before it is missed, and told', async () => {
  const running = await world.start();
  const [first = ''] = await insert();
  await waitFor('the feed', () => seenIds().includes(first));
  await running.stop();
  await insert();
  const other = `${world.prefix}_other`;
  await product.query(`select pg_create_logical_replication_slot($1, 'pgoutput')`, [other]);
  await expect(world.start({ SLOT_NAME: other })).rejects.toMatchObject({
    cause: { name: 'GapPossibleError', reason: 'slot_ahead' },
  });
  await waitFor('the other slot to be dropped', async () => {
    const { rowCount } = await product.query(
      'select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1 and not active',
      [other],
    );
    return rowCount === 1;
  });
});

test('the WAL that is kept for a quiet feed stays small while another database is busy', async () => {
  await world.start();
  const admin = new pg.Client({ connectionString: postgres.url('postgres') });
  await admin.connect();
  const confirmed = async () => {
    const { rows } = await admin.query<{ lsn: string }>(
      'select confirmed_flush_lsn::text as lsn from pg_replication_slots where slot_name = $1',
      [world.prefix],
    );
    return parseLsn(rows[0]?.lsn ?? '0/0');
  };
  const { rows } = await admin.query<{ lsn: string }>(
    `select pg_logical_emit_message(true, 'elsewhere', repeat('x', 4000000))::text as lsn`,
  );
  const written = parseLsn(rows[0]?.lsn ?? '');
  await waitFor('the confirmation to pass what others wrote', async () => (await confirmed()) >= written);
  await admin.end();
});
