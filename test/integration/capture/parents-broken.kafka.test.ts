import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { grantsFor } from '../../../shared/bulk/role-rights.ts';
import type { CaptureWorld } from '../../support/capture-world.ts';
import { createParentsWorld, PARENTS_CATALOG, type ParentsWorld } from '../../support/parents-world.ts';
import { waitFor } from '../../support/wait-for.ts';

const cleanup = new AsyncDisposableStack();
let parents: ParentsWorld;
let world: CaptureWorld;

beforeAll(async () => {
  parents = cleanup.use(await createParentsWorld());
  world = parents.capture;
  await world.pool.query(`update app.customers set account_id = 'acme' where id = 2`);
});
afterAll(async () => {
  await world?.pool.query(
    `do $$ begin drop owned by ${ROLE}; drop role ${ROLE}; exception when undefined_object then end $$`,
  );
  await cleanup.disposeAsync();
});
afterEach(() => world?.endAll());

test.each([
  [
    'a parent was rewritten',
    `alter table app.customers alter account_id type varchar(40) using lower(account_id)`,
    `alter table app.customers alter account_id type text`,
  ],
  [
    'a partition of a parent did not say whose it was for a while',
    `begin; alter table app.shops_0 replica identity default; update app.shops set account_id = 'acme';
     alter table app.shops_0 replica identity full; commit`,
    'select 1',
  ],
  [
    'the reference of a child was made again, with a value for the rows that are there',
    `alter table app.orders drop shop_id, add shop_id bigint default 1`,
    `select 1`,
  ],
  [
    'the control store went back to a backup',
    `update tandem.route_state set complete_to = '0/1'`,
    `select 1`,
  ],
  [
    'a parent was truncated',
    `truncate app.customers cascade`,
    `insert into app.customers values (1, 'acme'), (2, 'acme'), (3, 'acme'), (4, null);
     insert into app.invoices values (10, 5, 1), (20, 5, 2), (40, 5, 4)`,
  ],
])('routes begin again when %s, and that is told', async (_, change, undo) => {
  await parents.start();
  const [first, from] = [await parents.generation(), world.reader.changes.length];
  // More of a generation that failed than one sweep takes.
  await world.pool.query(`insert into tandem.routes (generation, resource, key, since_lsn, owner, is_deleted, written_at)
      select 0, 'customers', n::text, '0/0', null, false, now() from generate_series(1, 25000) n`);
  await world.pool.query(change);
  await waitFor('routes of a later generation', async () => (await parents.generation()) > first);
  const failed = await world.pool.query('select from tandem.routes where generation = 0');
  expect(failed.rowCount).toBe(0);
  await parents.passAll();
  const resets = world.reader.changes
    .slice(from)
    .filter(({ op, partition, account }) => op === 'truncate' && partition === 0 && account === '*')
    .map(({ resource }) => resource);
  expect(resets).toEqual(expect.arrayContaining(['invoices', 'lines']));
  const settled = await parents.generation();
  await world.pool.query(undo);
  expect(await parents.toldOf(`insert into app.lines values (300, 20)`)).toContain('insert lines 300 acme');
  expect(await parents.toldOf(`delete from app.lines where id = 300`)).toContain('delete lines 300 acme');
  expect((await parents.generation()) - settled).toBeLessThan(3);
});

/** May stream and read what the catalog names, and no more. */
const ROLE = `stream_${process.pid}`;

async function asRole(): Promise<Record<string, string>> {
  const catalog = PARENTS_CATALOG;
  await world.pool.query(
    `do $$ begin create role ${ROLE} login password 'least-rights'; exception when duplicate_object then end $$`,
  );
  for (const grant of grantsFor(catalog, 'stream', ROLE)) await world.pool.query(grant);
  const url = new URL(world.url);
  url.username = ROLE;
  url.password = 'least-rights';
  return { DATABASE_URL: url.href, CONTROL_DATABASE_URL: world.url };
}

const onPublication = (what: string) =>
  `do $$ begin execute format('alter publication %I ${what}', (select pubname from pg_publication)); end $$`;

test.each([
  [
    'loses a column',
    'alter table app.shops rename account_id to team_id',
    'alter table app.shops rename team_id to account_id',
  ],
  ['is not published', onPublication('drop table app.shops'), onPublication('add table app.shops')],
  [
    "does not say whose its partition's old rows were",
    `alter table only app.shops replica identity default; alter table only app.shops_0 replica identity default;
     update app.shops set account_id = 'acme' where id = 960`,
    `alter table only app.shops replica identity full; alter table only app.shops_0 replica identity full`,
  ],
  ["can't be read", `revoke select on app.shops from ${ROLE}`, `grant select on app.shops to ${ROLE}`],
  [
    'hides rows from the role',
    'alter table app.shops enable row level security',
    'alter table app.shops disable row level security',
  ],
])(
  'the feed of all others goes on while a parent %s, and its children are set aside until it is mended',
  async (_, change, undo) => {
    await parents.start(await asRole());
    await world.pool.query(`insert into app.shops values (960, 'acme') on conflict do nothing`);
    const [first, from] = [await parents.generation(), world.reader.changes.length];
    await world.pool.query(change);
    await waitFor('routes without the path', async () => (await parents.generation()) > first);
    expect(
      await parents.toldOf(
        `insert into app.orders values (960, 960); insert into app.lines values (960, 20)`,
      ),
    ).toContain('insert lines 960 acme');
    const reasons = () =>
      world.reader.changes
        .slice(from)
        .filter(
          ({ resource, op, partition }) => resource === 'orders' && op === 'truncate' && partition === 0,
        )
        .map(({ resetReason }) => resetReason);
    await waitFor('the set-aside', () => reasons().includes('table_unfit'));
    expect(
      world.reader.changes.slice(from).filter(({ resource, op }) => resource === 'orders' && op === 'insert'),
    ).toEqual([]);
    const { rows } = await world.pool.query<{ fingerprint: string }>(
      'select fingerprint from tandem.route_state',
    );
    expect(rows[0]?.fingerprint).toMatch(/\/comments,orders\//);
    await world.pool.query(undo);
    await waitFor('the way back', () => reasons().includes('resource_resumed'));
    await parents.passAll();
    expect(await parents.toldOf(`insert into app.orders values (961, 960)`)).toContain(
      'insert orders 961 acme',
    );
    await parents.toldOf(
      'delete from app.orders where id in (960, 961); delete from app.lines where id = 960; delete from app.shops where id = 960',
    );
  },
);

test('partitions of a child that go or are emptied leave the routes as they are, and one that brings rows does not', async () => {
  await parents.start();
  await parents.toldOf(
    `insert into app.customers values (970, 'acme'); insert into app.visits values (1, 1, 970), (1, 2, 970)`,
  );
  const [first, from] = [await parents.generation(), world.reader.changes.length];
  const resets = () =>
    world.reader.changes
      .slice(from)
      .filter(
        ({ resource, resetReason, partition }) => resource === 'visits' && resetReason && partition === 0,
      )
      .map(({ resetReason }) => resetReason);
  await world.pool.query('drop table app.visits_1');
  await waitFor('the reset of a dropped partition', () => resets().length === 1);
  await world.pool.query('truncate app.visits_2');
  await waitFor('the reset of an emptied partition', () => resets().length === 2);
  await parents.passAll();
  expect(resets()).toEqual(['partition_changed', 'partition_changed']);
  expect(await parents.generation()).toBe(first);
  await world.pool.query(`create table app.visits_3 (like app.visits including all); insert into app.visits_3 values (1, 3, 971);
    alter table app.visits attach partition app.visits_3 for values in (3)`);
  await waitFor('routes of a later generation', async () => (await parents.generation()) > first);
  await parents.passAll();
  // What came along is counted.
  expect(await parents.toldOf(`insert into app.customers values (971, 'acme')`)).toContain(
    'parent_moved visits acme',
  );
  await parents.toldOf('delete from app.visits; delete from app.customers where id in (970, 971)');
});
