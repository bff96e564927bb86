import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { formatAccountReset, WAL_MESSAGES } from '../../../shared/protocol/wal-messages.ts';
import { type CaptureWorld, createCaptureWorld } from '../../support/capture-world.ts';
import type { ReadChange } from '../../support/change-reader.ts';
import { waitFor } from '../../support/wait-for.ts';

const SCHEMA = `
  create schema app;
  create table app.items (
    id bigint primary key, account_id text not null, name text, big text, secret text, deleted_at timestamptz);
  alter table app.items alter column big set storage external;
  create table app.notes (
    account_id text, id bigint, body text, primary key (account_id, id));
  alter table app.notes alter column body set storage external;
  create table app.other (id bigint primary key, x text);
  create table app.parts (account_id text, id text, body text, primary key (account_id, id));
  alter table app.parts alter id set storage external, alter body set storage external;
  create extension if not exists citext;
  create table app.slugs (id bigint primary key, account_id citext not null, n int);
  create table app.tenants (id bigint primary key, account_id numeric not null, n int);
  create table app.codes (id bigint primary key, account_id char(8) not null, n int);
`;

const CATALOG = `
catalog: probe
resources:
  items:
    table: app.items
    event: item
    key: [id]
    account: account_id
    soft_delete: deleted_at
    hide: [secret]
  notes:
    table: app.notes
    event: note
    key: [account_id, id]
    account: account_id
  parts: { table: app.parts, event: part, key: [account_id, id], account: account_id }
  slugs: { table: app.slugs, event: slug, key: [id], account: account_id }
  tenants: { table: app.tenants, event: tenant, key: [id], account: account_id }
  codes: { table: app.codes, event: code, key: [id], account: account_id }
`;

let world: CaptureWorld;
let seenCount = 0;

beforeAll(async () => {
  world = await createCaptureWorld({
    schemaSql: SCHEMA,
    catalog: CATALOG,
  });
  await world.start();
});
afterAll(() => world[Symbol.asyncDispose]());
beforeEach(() => {
  seenCount = world.reader.changes.length;
});

/** Waits for that many new changes, in the order of their positions. */
async function newChanges(count: number): Promise<ReadChange[]> {
  await waitFor(`${count} changes`, () => world.reader.changes.length >= seenCount + count);
  return inOrder(world.reader.changes.slice(seenCount));
}

function inOrder(changes: readonly ReadChange[]): ReadChange[] {
  return changes.toSorted((a, b) =>
    a.commitLsn === b.commitLsn ? a.index - b.index : a.commitLsn < b.commitLsn ? -1 : 1,
  );
}

test('an insert comes with its account, its key and without hidden columns', async () => {
  await world.pool.query(`insert into app.items values (1, 'acme', 'first', 'b', 'hidden', null)`);
  expect(await newChanges(1)).toMatchObject([
    {
      op: 'insert',
      account: 'acme',
      resource: 'items',
      key: 'acme/items/["1"]',
      before: null,
      after: { id: '1', account_id: 'acme', name: 'first', big: 'b', deleted_at: null },
      index: 0,
    },
  ]);
  expect(world.reader.changes.at(-1)?.after).not.toHaveProperty('secret');
});

test('rows of one statement share their record’s place in the log and are told apart by their index', async () => {
  await world.pool.query(`insert into app.items select n, 'acme', 'n' || n from generate_series(100, 149) n`);
  const changes = await newChanges(50);
  expect(changes.map(({ index }) => index)).toEqual(Array.from({ length: 50 }, (_, index) => index));
  expect(new Set(changes.map(({ commitLsn }) => commitLsn)).size).toBe(1);
  expect(changes.map(({ after }) => after?.id)).toEqual(
    Array.from({ length: 50 }, (_, n) => String(100 + n)),
  );
});

test('a transaction that takes several requests to Kafka comes whole and in order', async () => {
  const rows = 60;
  // Random digits, so that no compression makes one request of them.
  await world.pool.query(
    `insert into app.items select n, 'acme', 'n' || n, (
       select string_agg(md5(random()::text || n || part), '') from generate_series(1, 10000) part)
     from generate_series(1000, 999 + $1::int) n`,
    [rows],
  );
  const changes = await newChanges(rows);
  expect(changes.map(({ index }) => index)).toEqual(Array.from({ length: rows }, (_, index) => index));
  expect(new Set(changes.map(({ commitLsn }) => commitLsn)).size).toBe(1);
  expect(changes.every(({ after }) => after?.big?.length === 320_000)).toBe(true);
});

test('insert, update and delete of one row in one transaction are three changes in order', async () => {
  const client = await world.pool.connect();
  await client.query(
    `begin; insert into app.items values (2, 'acme', 'a'); update app.items set name = 'b' where id = 2;
     delete from app.items where id = 2; commit`,
  );
  client.release();
  const changes = await newChanges(3);
  expect(changes.map(({ op, index }) => [op, index])).toEqual([
    ['insert', 0],
    ['update', 1],
    ['delete', 2],
  ]);
  expect(changes[1]).toMatchObject({ before: { name: 'a' }, after: { name: 'b' } });
  expect(changes[2]).toMatchObject({ account: 'acme', before: { id: '2', name: 'b' }, after: null });
});

test('what is rolled back leaves nothing, to a savepoint or as a whole', async () => {
  const client = await world.pool.connect();
  await client.query(`begin; insert into app.items values (3, 'acme', 'whole'); rollback`);
  await client.query(
    `begin; insert into app.items values (4, 'acme', 'kept'); savepoint s;
     insert into app.items values (5, 'acme', 'undone'); rollback to s;
     insert into app.items values (6, 'acme', 'kept too'); commit`,
  );
  client.release();
  expect((await newChanges(2)).map(({ after, index }) => [after?.id, index])).toEqual([
    ['4', 0],
    ['6', 1],
  ]);
});

test('tables that are not in the catalog do not come', async () => {
  await world.pool.query(`insert into app.other values (1, 'x'); insert into app.items values (7, 'acme')`);
  expect(await newChanges(1)).toMatchObject([{ after: { id: '7' }, index: 0 }]);
});

test('under the full identity a large value that did not change is filled in', async () => {
  await world.pool.query(`insert into app.items values (8, 'acme', 'a', repeat('x', 10000))`);
  await world.pool.query(`update app.items set name = 'b' where id = 8`);
  const [, update] = await newChanges(2);
  expect(update).toMatchObject({ op: 'update', unchanged: [], after: { name: 'b' } });
  expect(update?.after?.big).toHaveLength(10_000);
});

test('under a key identity a large value that did not change is named, never null', async () => {
  await world.pool.query(`insert into app.notes values ('acme', 1, repeat('x', 10000))`);
  await world.pool.query(`update app.notes set id = id where id = 1`);
  const [, update] = await newChanges(2);
  expect(update).toMatchObject({ op: 'update', before: null, unchanged: ['body'], after: { id: '1' } });
});

test('a delete under a key identity carries the key and names what is missing', async () => {
  await world.pool.query(`insert into app.notes values ('acme', 2, 'text')`);
  await world.pool.query('delete from app.notes where id = 2');
  const [, deletion] = await newChanges(2);
  expect(deletion).toMatchObject({
    op: 'delete',
    account: 'acme',
    key: 'acme/notes/["acme","2"]',
    before: { account_id: 'acme', id: '2' },
    missing: ['body'],
  });
});

test('an update of the key is the delete of the old record and the insert of the new one', async () => {
  await world.pool.query(`insert into app.items values (9, 'acme', 'a', repeat('y', 10000))`);
  await world.pool.query('update app.items set id = 10 where id = 9');
  const [, deletion, insertion] = await newChanges(3);
  expect(deletion).toMatchObject({ op: 'delete', before: { id: '9', name: 'a' }, after: null, index: 0 });
  expect(insertion).toMatchObject({
    op: 'insert',
    before: null,
    after: { id: '10' },
    unchanged: [],
    index: 1,
  });
  expect(insertion?.after?.big).toHaveLength(10_000);
});

test('a row that moves to another account is deleted for the one and inserted for the other', async () => {
  await world.pool.query(`insert into app.items values (11, 'acme', 'a')`);
  await world.pool.query(`update app.items set account_id = 'globex', name = 'b' where id = 11`);
  const [, deletion, insertion] = await newChanges(3);
  expect(deletion).toMatchObject({ op: 'delete', account: 'acme', before: { name: 'a' }, after: null });
  expect(insertion).toMatchObject({ op: 'insert', account: 'globex', before: null, after: { name: 'b' } });
});

test('a new account gets the whole record, though its key is stored apart too and was not sent again', async () => {
  await world.pool.query(
    `insert into app.parts values ('acme', rpad('1-', 2300, md5('1')), repeat('B', 5000))`,
  );
  await world.pool.query(`update app.parts set account_id = 'other'`);
  const [, deletion, insertion] = await newChanges(3);
  expect(deletion).toMatchObject({ op: 'delete', account: 'acme' });
  expect(insertion).toMatchObject({ op: 'insert', account: 'other', unchanged: [] });
  // Read after the commit, and so told as such.
  expect(insertion?.filled?.columns).toEqual(['body']);
  expect(insertion?.filled?.lsn).toBeGreaterThan(insertion?.commitLsn ?? 0n);
  expect(deletion?.filled).toBeUndefined();
  expect(insertion?.after?.id).toHaveLength(2_300);
  expect(insertion?.after?.body).toHaveLength(5_000);
});

test.each([
  ['slugs', 'Initech', 'INITECH', 'initech'],
  ['tenants', '77', '77.00', '77'],
  ['codes', 'umb', 'umb', 'umb'],
])(
  'spellings of one account that PostgreSQL takes as equal are one account: %s',
  async (table, first, second, account) => {
    await world.pool.query(`insert into app.${table} values (1, $1, 1), (2, $2, 1)`, [first, second]);
    await world.pool.query(`update app.${table} set account_id = $1, n = 2 where id = 1`, [second]);
    await world.pool.query(`delete from app.${table} where id = 2`);
    const changes = await newChanges(4);
    expect(changes.map(({ op, key }) => [op, key])).toEqual([
      ['insert', `${account}/${table}/["1"]`],
      ['insert', `${account}/${table}/["2"]`],
      ['update', `${account}/${table}/["1"]`],
      ['delete', `${account}/${table}/["2"]`],
    ]);
    expect(new Set(changes.map((each) => each.account))).toEqual(new Set([account]));
    expect(new Set(changes.map((each) => each.partition)).size).toBe(1);
  },
);

test('a truncation is told once on every partition', async () => {
  await world.pool.query('truncate app.notes');
  const changes = await newChanges(12);
  expect(new Set(changes.map(({ partition }) => partition)).size).toBe(12);
  expect(
    new Set(changes.map(({ op, account, resource, index }) => `${op} ${account} ${resource} ${index}`)),
  ).toEqual(new Set(['truncate * notes 0']));
});

test('what one account has to load again is told to it alone', async () => {
  const content = formatAccountReset({ account: 'acme', resources: ['notes', 'nothing', 'items'] });
  await world.pool.query('select pg_logical_emit_message(true, $1, $2)', [WAL_MESSAGES.account, content]);
  const changes = await newChanges(24);
  const told = changes.map(({ op, account, resource, index }) => `${op} ${account} ${resource} ${index}`);
  expect(new Set(told)).toEqual(new Set(['truncate acme notes 0', 'truncate acme items 2']));
});

test('columns that are added, retyped and dropped in mid-stream come with the next row', async () => {
  await world.pool.query(`alter table app.items add column extra int`);
  await world.pool.query(`insert into app.items (id, account_id, extra) values (12, 'acme', 7)`);
  await world.pool.query(`alter table app.items alter column extra type text using 't' || extra`);
  await world.pool.query(`insert into app.items (id, account_id, extra) values (13, 'acme', 'text')`);
  await world.pool.query(`alter table app.items alter column extra type jsonb using '[1]'`);
  await world.pool.query(`insert into app.items (id, account_id, extra) values (14, 'acme', '{"a": 1}')`);
  await world.pool.query(`alter table app.items drop column extra`);
  await world.pool.query(`insert into app.items (id, account_id) values (15, 'acme')`);
  // Beside resets, which come when the change of the columns is noticed.
  const byId = await waitFor('the four rows', () => {
    const rows = world.reader.changes.slice(seenCount).filter(({ op }) => op === 'insert');
    return rows.length === 4 && new Map(rows.map((change) => [change.after?.id, change]));
  });
  expect(byId.get('12')?.after).toMatchObject({ extra: '7' });
  expect(byId.get('13')?.after).toMatchObject({ extra: 'text' });
  expect(byId.get('14')?.after).toMatchObject({ extra: '{"a": 1}' });
  expect(byId.get('15')?.after).not.toHaveProperty('extra');
});

test('a seal comes by after everything that was committed before it', async () => {
  await world.pool.query(`insert into app.items values (20, 'acme', 'sealed')`);
  await world.pool.query(
    `select pg_logical_emit_message(true, 'tandem.seal', '{"job_id": "exp_1", "token": "t1"}')`,
  );
  const seal = await waitFor('the seal', () => world.reader.seals.find(({ token }) => token === 't1'));
  const change = world.reader.changes.find(({ after }) => after?.id === '20');
  expect(seal).toMatchObject({ job_id: 'exp_1' });
  expect(BigInt(seal.commit_lsn)).toBeGreaterThan(change?.commitLsn ?? 0n);
});

test('the settled position passes a commit only once it is visible, and with it the slot moves', async () => {
  await world.pool.query(`insert into app.items values (21, 'acme', 'settles')`);
  const [change] = await newChanges(1);
  const settled = await waitFor('the feed to settle', () =>
    world.reader.states.find(({ settled_lsn: lsn }) => BigInt(lsn) >= (change?.commitLsn ?? 0n)),
  );
  expect(settled.passed_lsn).toBeGreaterThanOrEqual(settled.settled_lsn);
  await waitFor('the slot to be confirmed', async () => {
    const { rows } = await world.pool.query(
      'select confirmed_flush_lsn >= $2::pg_lsn as ok from pg_replication_slots where slot_name = $1',
      [world.prefix, lsnText(change?.commitLsn ?? 0n)],
    );
    return rows[0]?.ok === true;
  });
});

function lsnText(lsn: bigint): string {
  return `${(lsn >> 32n).toString(16)}/${(lsn & 0xffffffffn).toString(16)}`;
}
