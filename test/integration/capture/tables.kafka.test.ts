import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { accountPartition } from '../../../shared/domain/account-partition.ts';
import { type CaptureWorld, createCaptureWorld } from '../../support/capture-world.ts';
import type { ReadChange } from '../../support/change-reader.ts';
import { waitFor } from '../../support/wait-for.ts';

const SCHEMA = `
  create schema app;
  create table app.parts (
    id bigint, account_id text not null, region text, note text, primary key (id, region)
  ) partition by list (region);
  create table app.parts_eu partition of app.parts for values in ('eu');
  create table app.parts_us partition of app.parts for values in ('us');
  create type app.mood as enum ('sad', 'ok');
  create table app.items (id bigint primary key, account_id text not null, mood app.mood, big text);
  alter table app.items alter column big set storage external;
  create table app.lines (
    account_id text not null, id bigint not null, item_id bigint references app.items, big text);
  alter table app.lines alter column big set storage external;
  create unique index lines_key on app.lines (account_id, id);
  alter table app.lines replica identity using index lines_key;
  create type app.spot as (x int, y int, name text);
  create table app.places (id bigint primary key, account_id text not null, spot app.spot);
  create table app.marks (id bigint primary key, account_id text not null);
`;

const CATALOG = `
catalog: tables
resources:
  parts: { table: app.parts, event: part, key: [id, region], account: account_id }
  items: { table: app.items, event: item, key: [id], account: account_id }
  lines: { table: app.lines, event: line, key: [account_id, id], account: account_id }
  places: { table: app.places, event: place, key: [id], account: account_id }
  marks: { table: app.marks, event: mark, key: [id], account: account_id }
`;

const PARTITIONS = 12;
/** Where the rows of all these tests are told, and each reset among them in its place. */
const PARTITION = accountPartition('acme', PARTITIONS);

let world: CaptureWorld;
let seenCount = 0;
let markCount = 0;

beforeAll(async () => {
  world = await createCaptureWorld({ schemaSql: SCHEMA, catalog: CATALOG });
  await world.start();
});
afterAll(() => world?.[Symbol.asyncDispose]());
/** What was done before has come by on every partition: a reset is told on each, behind it. */
beforeEach(async () => {
  markCount += 1;
  await run('truncate app.marks');
  const marks = () => world.reader.changes.filter(({ resource }) => resource === 'marks');
  await waitFor('the mark on each partition', () => marks().length >= markCount * PARTITIONS);
  seenCount = world.reader.changes.length;
});

/** In the feed's order: rows, or resets. One that an earlier test has caused may still be announced. */
async function newChanges(count: number, isWanted = isRow): Promise<ReadChange[]> {
  const found = () => world.reader.changes.slice(seenCount).filter(isWanted);
  await waitFor(`${count} changes`, () => found().length >= count);
  return found().toSorted((a, b) =>
    a.commitLsn === b.commitLsn ? a.index - b.index : a.commitLsn < b.commitLsn ? -1 : 1,
  );
}

const isRow = ({ op }: ReadChange) => op !== 'truncate';

const run = (sql: string) => world.pool.query(sql);

test('a row that moves between partitions is a delete and an insert in one transaction', async () => {
  await run(`insert into app.parts values (1, 'acme', 'eu', 'n')`);
  await run(`update app.parts set region = 'us' where id = 1`);
  const [, deletion, insertion] = await newChanges(3);
  expect(deletion).toMatchObject({
    op: 'delete',
    resource: 'parts',
    account: 'acme',
    before: { region: 'eu', note: 'n' },
    index: 0,
  });
  expect(insertion).toMatchObject({ op: 'insert', after: { id: '1', region: 'us', note: 'n' }, index: 1 });
  expect(insertion?.commitLsn).toBe(deletion?.commitLsn);
});

const resetsOf = (resource: string) =>
  world.reader.changes
    .slice(seenCount)
    .filter((change) => change.resource === resource && change.partition === PARTITION)
    .flatMap(({ resetReason }) => resetReason ?? []);

// Before the others of its kind: one reset serves all such updates of five minutes.
test('a row that a partition of a smaller identity moved to another account is a reset', async () => {
  await run(`insert into app.parts values (80, 'acme', 'eu', 'n')`);
  await newChanges(1);
  const identity = (kind: string) => `alter table app.parts_eu replica identity ${kind}`;
  await run(
    `begin; ${identity('default')}; update app.parts set account_id = 'other' where id = 80; ${identity('full')}; commit`,
  );
  await waitFor('the reset', () => resetsOf('parts').includes('record_unknown'));
});

test('the truncation of a root, of several tables, and one that cascades are told for each resource', async () => {
  await run('truncate app.parts');
  await run('truncate app.parts, app.lines');
  await run('truncate app.items cascade');
  const told = await newChanges(
    5,
    ({ resetReason, partition }) => resetReason === 'table_truncated' && partition === PARTITION,
  );
  const inOrder = told.map(({ op, resource, index }) => `${op} ${resource} ${index}`);
  expect(inOrder.slice(0, 1)).toEqual(['truncate parts 0']);
  expect(inOrder.slice(1, 3).toSorted()).toEqual(['truncate lines 1', 'truncate parts 0']);
  expect(inOrder.slice(3).toSorted()).toEqual(['truncate items 0', 'truncate lines 1']);
});

test('a partition that had rows before its replica identity is a reset', async () => {
  const before = resetsOf('parts').length;
  await run(
    `begin; create table app.parts_sa partition of app.parts for values in ('sa');
     insert into app.parts values (81, 'acme', 'sa', 'n'); commit`,
  );
  await waitFor('the reset', () => resetsOf('parts').slice(before).includes('record_unknown'));
});

test('a partition that came later, and was not prepared, resets the feed in place of losing its deletes', async () => {
  await run(`create table app.parts_as partition of app.parts for values in ('as')`);
  await run(`insert into app.parts values (2, 'acme', 'as', 'n')`);
  await run(`update app.parts set note = 'm' where id = 2`);
  await run(`delete from app.parts where id = 2`);
  const seen = () =>
    world.reader.changes
      .slice(seenCount)
      .filter(({ resource, partition }) => resource === 'parts' && partition === PARTITION);
  // It may have got its identity ahead of the delete, which then says whose row it was.
  await waitFor('the end of the row', () =>
    seen().some(({ op, resetReason }) => op === 'delete' || resetReason === 'record_unknown'),
  );
  expect(seen().filter(({ op }) => op === 'insert' || op === 'update')).toMatchObject([
    { op: 'insert', account: 'acme', after: { id: '2' } },
    { op: 'update', account: 'acme', after: { note: 'm' } },
  ]);
  const prepared = `select from pg_class where oid = 'app.parts_as'::regclass and relreplident = 'f'`;
  await waitFor('its replica identity', async () => (await run(prepared)).rowCount === 1);
});

test('rows of a partition that comes and goes between two looks are told to be gone', async () => {
  await run(`create table app.parts_af partition of app.parts for values in ('af')`);
  await run(`insert into app.parts values (3, 'acme', 'af', 'n')`);
  await run(`drop table app.parts_af`);
  const told = () =>
    world.reader.changes
      .slice(seenCount)
      .filter(({ resource, partition }) => resource === 'parts' && partition === PARTITION)
      .map(({ op, resetReason }) => resetReason ?? op);
  await waitFor('the row, and a reset behind it', () =>
    told().slice(told().indexOf('insert')).includes('partition_changed'),
  );
});

test('rows of a partition that is detached are told to be gone, and to be back once it is attached', async () => {
  // In one transaction, so that it is prepared with rows: the reset for that must not hide what comes after it.
  await run(
    `begin; create table app.parts_jp partition of app.parts for values in ('jp');
     insert into app.parts values (5, 'acme', 'jp', 'n'); commit`,
  );
  const told = () =>
    world.reader.changes
      .slice(seenCount)
      .filter(({ resource, partition }) => resource === 'parts' && partition === PARTITION)
      .map(({ op, resetReason }) => resetReason ?? op);
  const resets = () => told().filter((what) => what === 'partition_changed').length;
  await waitFor('the row, and the reset for its partition', () => told().includes('record_unknown'));
  const before = resets();
  await run('alter table app.parts detach partition app.parts_jp');
  await waitFor('a reset for what is gone', () => resets() > before);
  const detached = resets();
  await run(`alter table app.parts attach partition app.parts_jp for values in ('jp')`);
  await waitFor('a reset for what is back', () => resets() > detached);
  await run('drop table app.parts_jp');
});

test.each([
  [
    'a table under another name',
    'places',
    `alter table app.places rename to aside; insert into app.aside values (70, 'acme', null); alter table app.aside rename to places`,
    `insert into app.places values (71, 'acme', null)`,
  ],
  [
    'a root of partitions under another name',
    'parts',
    `alter table app.parts rename to aside; insert into app.aside values (70, 'acme', 'eu', 'n'); alter table app.aside rename to parts`,
    // The server does not describe the root again.
    `insert into app.parts values (71, 'acme', 'eu', 'n')`,
  ],
  [
    'a table in another schema',
    'items',
    `alter table app.items set schema public; insert into public.items values (70, 'acme'); alter table public.items set schema app`,
    `insert into app.items values (71, 'acme')`,
  ],
])(
  'rows that one transaction changes in %s are told, and those after it',
  async (_where, resource, statements, after) => {
    await run(`begin; ${statements}; commit`);
    await run(after);
    const told = await newChanges(2);
    expect(told.map((change) => [change.resource, change.op, change.after?.id])).toEqual([
      [resource, 'insert', '70'],
      [resource, 'insert', '71'],
    ]);
  },
);

test('rows that one transaction changes with a column under another name are followed by a reset', async () => {
  await run(
    `begin; alter table app.items rename big to small; insert into app.items values (72, 'acme'); alter table app.items rename small to big; commit`,
  );
  await waitFor('the reset', () => resetsOf('items').includes('columns_changed'));
});

test('a partition that is not logged is told once, and left alone', async () => {
  await run(
    `create unlogged table app.parts_cn partition of app.parts for values in ('cn'); insert into app.parts values (90, 'acme', 'cn', 'n')`,
  );
  await waitFor('the reset', () => resetsOf('parts').includes('partition_changed'));
  const { rows } = await run(`select relreplident from pg_class where oid = 'app.parts_cn'::regclass`);
  expect(rows).toEqual([{ relreplident: 'd' }]);
  await run('drop table app.parts_cn');
});

test('under an index identity a delete carries the index’s columns, and a large value that did not change is named', async () => {
  await run(`insert into app.lines values ('acme', 1, null, repeat('x', 10000))`);
  await run(`update app.lines set item_id = null where id = 1`);
  await run(`delete from app.lines where id = 1`);
  const [, update, deletion] = await newChanges(3);
  expect(update).toMatchObject({ op: 'update', before: null, unchanged: ['big'] });
  expect(deletion).toMatchObject({
    op: 'delete',
    before: { account_id: 'acme', id: '1' },
    missing: ['item_id', 'big'],
  });
});

test('a row that moves to another key keeps its large values, which the log does not send again', async () => {
  await run(`insert into app.lines values ('acme', 2, null, repeat('y', 10000))`);
  await run(`update app.lines set id = 3 where id = 2`);
  const [, deletion, insertion] = await newChanges(3);
  expect(deletion).toMatchObject({ op: 'delete', before: { id: '2' } });
  expect(insertion).toMatchObject({ op: 'insert', after: { id: '3' }, unchanged: [] });
  expect(insertion?.after?.big).toBe('y'.repeat(10_000));
});

test('a column with a default that rewrites nothing, a renamed one and a new enum value come with the next row', async () => {
  await run(`insert into app.items values (1, 'acme', 'ok')`);
  await run(`alter table app.items add column level int not null default 7`);
  await run(`update app.items set mood = 'sad' where id = 1`);
  await run(`alter table app.items rename column level to grade`);
  await run(`alter type app.mood add value 'glad'`);
  await run(`update app.items set mood = 'glad' where id = 1`);
  const [first, second, third] = await newChanges(3);
  expect(first?.after).not.toHaveProperty('level');
  expect(second?.after).toMatchObject({ mood: 'sad', level: '7' });
  expect(third?.after).toMatchObject({ mood: 'glad', grade: '7' });
  expect(third?.after).not.toHaveProperty('level');
  expect(new Set([first, second, third].map((change) => change?.schemaId)).size).toBe(3);
  // Rows from before are told nothing of the column, so that all have to be read again.
  await waitFor('a reset', () => resets().includes('items'));
});

test('an update that changes nothing is one change', async () => {
  await run(`update app.items set mood = mood where id = 1`);
  expect(await newChanges(1)).toMatchObject([{ op: 'update', before: { id: '1' }, after: { id: '1' } }]);
});

/** The resources told to begin again since the test began, each on every partition. */
function resets(): string[] {
  const told = world.reader.changes.slice(seenCount).filter(({ op }) => op === 'truncate');
  return told.filter(({ partition }) => partition === PARTITION).map(({ resource }) => resource);
}

test('a table that was dropped and made again is told, when it is gone from the publication and when it is back', async () => {
  await run(`drop table app.lines`);
  await run(`create table app.lines (account_id text, id bigint, primary key (account_id, id))`);
  await waitFor('the first reset', () => resets().includes('lines'));
  await run(`insert into app.lines values ('acme', 1)`);
  const { rows } = await world.pool.query<{ at: string }>(
    `select (pg_current_wal_lsn() - '0/0')::text as at`,
  );
  await world.prepare();
  await waitFor('a reset behind what brought it back', () =>
    world.reader.changes.some(
      ({ op, resource, commitLsn }) =>
        op === 'truncate' && resource === 'lines' && commitLsn > BigInt(rows[0]?.at ?? 0),
    ),
  );
  await run(`insert into app.lines values ('acme', 2)`);
  await waitFor('the row', () =>
    world.reader.changes.some(({ resource, after }) => resource === 'lines' && after?.id === '2'),
  );
  // States are read from another topic than changes.
  const known = () => (world.reader.states.at(-1)?.tables ?? []).map(({ resource }) => resource).toSorted();
  await waitFor('every table to be known', () => known().join() === 'items,lines,marks,parts,places');
});

test('a table that was swapped while nobody looked is told by the next instance', async () => {
  await world.endAll();
  await run(`
    create table app.items_new (like app.items including all);
    alter table app.items rename to items_old;
    alter table app.items_new rename to items`);
  await world.prepare();
  await world.start();
  await waitFor('the reset', () => resets().includes('items'));
});

test('attributes of a composite type that were dropped, renamed and added ahead of a backlog hold up nothing', async () => {
  await run(`insert into app.places values (1, 'acme', (1, 2, 'a'))`);
  await newChanges(1, ({ resource }) => resource === 'places');
  await world.endAll();
  await run(`insert into app.places values (2, 'acme', (3, 4, 'b'))`);
  await run(`update app.places set spot = (5, 6, 'c') where id = 1`);
  await run(`alter type app.spot drop attribute y`);
  await run(`insert into app.places values (3, 'acme', (7, 'd'))`);
  await run(`alter type app.spot rename attribute x to longitude`);
  await run(`alter type app.spot add attribute height numeric`);
  await run(`insert into app.places values (4, 'acme', (8, 'e', 1.5))`);
  await run(`insert into app.marks values (1, 'acme')`);
  await world.start();
  const own = () => world.reader.changes.slice(seenCount).filter(({ partition }) => partition === PARTITION);
  await waitFor('the other resource', () =>
    own().some(({ op, resource }) => op === 'insert' && resource === 'marks'),
  );
  const told = () => own().filter(({ resource }) => resource === 'places');
  await waitFor('a reset with its reason', () => told().some(({ op }) => op === 'truncate'));
  await run(`insert into app.places values (5, 'acme', (9, 'f', 2.5))`);
  await waitFor('the feed to go on', () => told().some(({ after }) => after?.id === '5'));
  expect(told().map(({ resetReason, after }) => resetReason ?? after?.id)).toEqual([
    '1',
    '2',
    '1',
    '3',
    '4',
    'type_changed',
    '5',
  ]);
  expect(told().at(-1)?.after?.spot).toContain('2.5');
});
