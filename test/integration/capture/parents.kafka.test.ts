import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test } from 'vitest';
import { tellOutOfOrder } from '../../../services/extractor/export/tell-out-of-order.ts';
import { grantsFor } from '../../../shared/bulk/role-rights.ts';
import { parseCatalog } from '../../../shared/catalog/load-catalog.ts';
import type { ClaimedExport } from '../../../shared/control/exports/queue-exports.ts';
import { addRoutes, sweepGenerations, sweepRoutes, takeRoutes } from '../../../shared/control/routes.ts';
import { accountPartition } from '../../../shared/domain/account-partition.ts';
import { formatLsn, parseLsn } from '../../../shared/domain/lsn.ts';
import { createControlPool } from '../../../shared/postgres/pool.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { type CaptureWorld, createCaptureWorld } from '../../support/capture-world.ts';
import { waitFor } from '../../support/wait-for.ts';

const SCHEMA = `
  create schema app;
  create table app.customers (id bigint primary key, account_id text, name text not null default 'n');
  create table app.invoices (id bigint primary key, total int,
    customer_id bigint references app.customers on delete cascade deferrable initially immediate);
  create table app.lines (id bigint primary key, invoice_id bigint not null references app.invoices on delete cascade deferrable, body text);
  create table app.shops (id bigint primary key, account_id text) partition by hash (id);
  create table app.shops_0 partition of app.shops for values with (modulus 1, remainder 0);
  create table app.orders (id bigint primary key, shop_id bigint references app.shops);
  create table app.comments (id bigint primary key, of_type char(10), of_id int, body text);
  create table app.visits (id bigint, day int, customer_id bigint, primary key (id, day)) partition by list (day);
  create table app.visits_1 partition of app.visits for values in (1);
  create table app.visits_2 partition of app.visits for values in (2);
  insert into app.shops values (1, 'globex');
  insert into app.customers values (1, 'acme'), (2, 'globex'), (3, 'acme'), (4, null);
  insert into app.invoices values (10, 5, 1), (20, 5, 2), (40, 5, 4);
  insert into app.lines values (100, 10, 'old'), (200, 20, 'old');
`;

const CATALOG = `
catalog: parents
resources:
  customers: { table: app.customers, event: customer, key: [id], account: account_id }
  invoices: { table: app.invoices, event: invoice, key: [id], account: { via: customer_id } }
  lines: { table: app.lines, event: line, key: [id], account: { via: [invoice_id, customer_id] } }
  shops: { table: app.shops, event: shop, key: [id], account: account_id }
  orders: { table: app.orders, event: order, key: [id], account: { via: shop_id } }
  visits: { table: app.visits, event: visit, key: [id, day], account: { via: customer_id } }
  comments:
    table: app.comments
    event: comment
    key: [id]
    account: { via: of_id, by: of_type, to: { Order: orders, Customer: customers } }
`;

const cleanup = new AsyncDisposableStack();
let world: CaptureWorld;

beforeAll(async () => {
  world = cleanup.use(await createCaptureWorld({ schemaSql: SCHEMA, catalog: CATALOG }));
});
afterAll(async () => {
  await world?.pool.query(
    `do $$ begin drop owned by ${ROLE}; drop role ${ROLE}; exception when undefined_object then end $$`,
  );
  await cleanup.disposeAsync();
});
afterEach(() => world?.endAll());

/** One account of each partition of the topic. */
const MARKERS = Array.from({ length: 12 }, (_, partition) => {
  for (let number = 0; ; number += 1) {
    const account = `marker${number}`;
    if (accountPartition(account, 12) === partition) return account;
  }
});
const FIRST_MARKER = 1_000_000;
let nextMarker = FIRST_MARKER;

const isMarker = (id: string | null | undefined) => Number(id) >= FIRST_MARKER;

/** Until all that was committed before has come by, on every partition. */
async function passAll(): Promise<void> {
  const first = nextMarker;
  const rows = MARKERS.map((account) => `(${nextMarker++}, '${account}')`);
  await world.pool.query(`insert into app.customers values ${rows.join(', ')}`);
  await waitFor(`the markers from ${first}`, () => {
    const seen = new Set(world.reader.changes.map(({ after }) => Number(after?.id)));
    return MARKERS.every((_, at) => seen.has(first + at));
  });
}

/** Capture knows the accounts of all parents. */
async function start(env: Record<string, string> = {}): Promise<void> {
  await world.start(env);
  await waitFor('the routes', async () => {
    const { rows } = await world.pool.query('select from tandem.route_state where fingerprint is not null');
    return rows.length === 1;
  });
  // Behind what the routes' beginning tells.
  await passAll();
}

/** What is told of a transaction, and of it alone. */
async function toldOf(statements: string): Promise<string[]> {
  const from = world.reader.changes.length;
  await world.pool.query(`begin; ${statements}; commit`);
  await passAll();
  return world.reader.changes
    .slice(from)
    .filter(({ after, partition, op }) => !isMarker(after?.id) && (op !== 'truncate' || partition === 0))
    .toSorted((a, b) => a.index - b.index)
    .map(({ op, account, resource, before, after, resetReason }) =>
      op === 'truncate'
        ? `${resetReason} ${resource} ${account}`
        : `${op} ${resource} ${after?.id ?? before?.id} ${account || '-'}`,
    );
}

test('records have the account of what they refer to, however their transactions are written', async () => {
  await start();
  expect(await toldOf(`insert into app.lines values (101, 10)`)).toEqual(['insert lines 101 acme']);
  expect(
    await toldOf(`set constraints all deferred; insert into app.lines values (500, 50);
      insert into app.invoices values (50, 1, 5); insert into app.customers values (5, 'globex')`),
  ).toEqual(['insert lines 500 globex', 'insert invoices 50 globex', 'insert customers 5 globex']);
  // Both are gone when the stream is read.
  expect(await toldOf(`delete from app.customers where id = 5`)).toEqual([
    'delete customers 5 globex',
    'delete invoices 50 globex',
    'delete lines 500 globex',
  ]);
  // A reference that changes, within the account and to another.
  expect(await toldOf(`update app.invoices set customer_id = 3 where id = 10`)).toEqual([
    'update invoices 10 acme',
  ]);
  expect(await toldOf(`update app.invoices set customer_id = 2 where id = 10`)).toEqual([
    'delete invoices 10 acme',
    'insert invoices 10 globex',
    'parent_moved lines acme',
    'parent_moved lines globex',
  ]);
  expect(await toldOf(`update app.invoices set customer_id = null where id = 10`)).toEqual([
    'delete invoices 10 globex',
    'insert invoices 10 -',
    'parent_moved lines globex',
  ]);
  // A parent that moves.
  expect(await toldOf(`update app.customers set account_id = 'acme' where id = 2`)).toEqual([
    'delete customers 2 globex',
    'insert customers 2 acme',
    'parent_moved invoices globex',
    'parent_moved invoices acme',
    'parent_moved lines globex',
    'parent_moved lines acme',
  ]);
  // Each account is told once, of however many.
  expect(
    (await toldOf(`update app.customers set account_id = 'globex' where id in (2, 3)`)).filter((each) =>
      each.startsWith('parent_moved'),
    ),
  ).toEqual([
    'parent_moved invoices acme',
    'parent_moved invoices globex',
    'parent_moved lines acme',
    'parent_moved lines globex',
  ]);
  await toldOf(`update app.customers set account_id = 'acme' where id in (2, 3)`);
  // What goes in the transaction of the move was the former account's.
  expect(
    (
      await toldOf(
        `update app.customers set account_id = 'globex' where id = 2; delete from app.lines where id = 200`,
      )
    ).at(-1),
  ).toBe('delete lines 200 acme');
  await toldOf(`update app.customers set account_id = 'acme' where id = 2`);
  expect(await toldOf(`insert into app.lines values (102, 20)`)).toEqual(['insert lines 102 acme']);
  expect(await toldOf(`insert into app.invoices values (41, 1, 4), (42, 1, null)`)).toEqual([
    'insert invoices 41 -',
    'insert invoices 42 -',
  ]);
});

test('a parent that comes under the key of a deleted one owns what its transaction made, and of no other', async () => {
  await start();
  await toldOf(`insert into app.customers values (700, 'globex')`);
  await toldOf(`delete from app.customers where id = 700`);
  expect(
    await toldOf(`insert into app.customers values (700, 'acme'); insert into app.invoices values (700, 1, 700), (701, 1, 700);
      update app.invoices set total = 2 where id = 700; delete from app.invoices where id = 701`),
  ).toEqual([
    'insert customers 700 acme',
    'insert invoices 700 acme',
    'insert invoices 701 acme',
    'update invoices 700 acme',
    'delete invoices 701 acme',
  ]);
  // Moved and deleted at once with all that it had: nobody has to begin anew.
  expect(
    await toldOf(`update app.customers set account_id = 'globex' where id = 700; insert into app.invoices values (702, 1, 700);
      delete from app.customers where id = 700`),
  ).toEqual([
    'delete customers 700 acme',
    'insert customers 700 globex',
    'insert invoices 702 -',
    'delete customers 700 globex',
    'delete invoices 700 acme',
    'delete invoices 702 -',
  ]);
  // What one transaction makes, changes and deletes under a parent that moves is not told to the former account.
  await toldOf(
    `insert into app.customers values (710, 'acme'); insert into app.invoices values (710, 1, 710)`,
  );
  const told = await toldOf(`update app.customers set account_id = 'globex' where id = 710;
    insert into app.invoices values (711, 1, 710); update app.invoices set total = 2 where id = 711;
    delete from app.invoices where id = 711; delete from app.invoices where id = 710`);
  expect(told).toEqual([
    'delete customers 710 acme',
    'insert customers 710 globex',
    'insert invoices 711 globex',
    'update invoices 711 globex',
    'delete invoices 711 globex',
    'delete invoices 710 acme',
  ]);
  // Refers for a moment to a record that is gone.
  expect(
    await toldOf(`set constraints all deferred; insert into app.invoices values (703, 1, 700);
      update app.invoices set customer_id = 1 where id = 703`),
  ).toEqual(['insert invoices 703 -', 'delete invoices 703 -', 'insert invoices 703 acme']);
  expect(await toldOf(`insert into app.customers values (700, 'acme')`)).toEqual([
    'insert customers 700 acme',
  ]);
});

const generation = async () => {
  const { rows } = await world.pool.query<{ generation: string }>(
    'select generation::text from tandem.route_state where fingerprint is not null',
  );
  return Number(rows[0]?.generation ?? 0);
};

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
])(
  'routes begin anew when %s, and that is told',
  async (_, change, undo) => {
    await start();
    const [first, from] = [await generation(), world.reader.changes.length];
    // More of a generation that failed than one sweep takes.
    await world.pool.query(`insert into tandem.routes (generation, resource, key, since_lsn, owner, is_deleted, written_at)
      select 0, 'customers', n::text, '0/0', null, false, now() from generate_series(1, 25000) n`);
    await world.pool.query(change);
    await waitFor('routes of a later generation', async () => (await generation()) > first);
    const failed = await world.pool.query('select from tandem.routes where generation = 0');
    expect(failed.rowCount).toBe(0);
    await passAll();
    const resets = world.reader.changes
      .slice(from)
      .filter(({ op, partition, account }) => op === 'truncate' && partition === 0 && account === '*')
      .map(({ resource }) => resource);
    expect(resets).toEqual(expect.arrayContaining(['invoices', 'lines']));
    const settled = await generation();
    await world.pool.query(undo);
    expect(await toldOf(`insert into app.lines values (300, 20)`)).toContain('insert lines 300 acme');
    expect(await toldOf(`delete from app.lines where id = 300`)).toContain('delete lines 300 acme');
    expect((await generation()) - settled).toBeLessThan(3);
  },
  60_000,
);

/** May stream and read what the catalog names, and no more. */
const ROLE = `stream_${process.pid}`;

async function asRole(): Promise<Record<string, string>> {
  const catalog = parseCatalog(CATALOG, 'parents.yaml');
  await world.pool.query(
    `do $$ begin create role ${ROLE} login password 'least'; exception when duplicate_object then end $$`,
  );
  for (const grant of grantsFor(catalog, 'stream', ROLE)) await world.pool.query(grant);
  const url = new URL(world.url);
  url.username = ROLE;
  url.password = 'least';
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
    await start(await asRole());
    await world.pool.query(`insert into app.shops values (960, 'acme') on conflict do nothing`);
    const [first, from] = [await generation(), world.reader.changes.length];
    await world.pool.query(change);
    await waitFor('routes without the path', async () => (await generation()) > first);
    expect(
      await toldOf(`insert into app.orders values (960, 960); insert into app.lines values (960, 20)`),
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
    await passAll();
    expect(await toldOf(`insert into app.orders values (961, 960)`)).toContain('insert orders 961 acme');
    await toldOf(
      'delete from app.orders where id in (960, 961); delete from app.lines where id = 960; delete from app.shops where id = 960',
    );
  },
  120_000,
);

test('partitions of a child that go or are emptied leave the routes as they are, and one that brings rows does not', async () => {
  await start();
  await toldOf(
    `insert into app.customers values (970, 'acme'); insert into app.visits values (1, 1, 970), (1, 2, 970)`,
  );
  const [first, from] = [await generation(), world.reader.changes.length];
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
  await passAll();
  expect(resets()).toEqual(['partition_changed', 'partition_changed']);
  expect(await generation()).toBe(first);
  await world.pool.query(`create table app.visits_3 (like app.visits including all); insert into app.visits_3 values (1, 3, 971);
    alter table app.visits attach partition app.visits_3 for values in (3)`);
  await waitFor('routes of a later generation', async () => (await generation()) > first);
  await passAll();
  // What came along is counted.
  expect(await toldOf(`insert into app.customers values (971, 'acme')`)).toContain(
    'parent_moved visits acme',
  );
  await toldOf('delete from app.visits; delete from app.customers where id in (970, 971)');
});

test('a transaction larger than may be held is read twice, and told once', async () => {
  const capture = world.spawn();
  await waitFor('the feed', () => capture.hasLogged('routes.filled') || capture.hasLogged('routes.resumed'));
  const from = world.reader.changes.length;
  await world.pool.query(
    `begin; set constraints all deferred;
     insert into app.customers values (600, 'acme');
     insert into app.lines select 10000 + n, 60, repeat(md5(n::text), 32) from generate_series(1, 20000) n;
     insert into app.invoices values (60, 1, 600);
     update app.customers set account_id = 'globex' where id = 600; commit`,
  );
  await passAll();
  expect(capture.log.filter(({ event }) => event === 'session.failed')).toHaveLength(1);
  const told = world.reader.changes
    .slice(from)
    .filter(({ op, after }) => op !== 'truncate' && !isMarker(after?.id));
  const lines = told.filter(({ resource }) => resource === 'lines');
  expect(new Set(lines.map(({ op, account }) => `${op} ${account}`))).toEqual(new Set(['insert globex']));
  expect(new Set(lines.map(({ after }) => after?.id)).size).toBe(20_000);
  expect(lines).toHaveLength(20_000);
  expect(told.filter(({ resource }) => resource === 'invoices')).toMatchObject([
    { op: 'insert', account: 'globex' },
  ]);
  await world.pool.query('delete from app.customers where id = 600');
  await passAll();
}, 60_000);

type Row = Readonly<Record<string, string | null>>;
type Rows = Map<string | null, Row>;

/** The account of a row, by the rows of all tables. */
function ownerOf(tables: ReadonlyMap<string, Rows>, resource: string, row: Row | undefined): string | null {
  if (row === undefined) return null;
  if (resource === 'customers') return row.account_id ?? null;
  const [parent, reference] =
    resource === 'lines' ? ['invoices', row.invoice_id] : ['customers', row.customer_id];
  return ownerOf(tables, parent, tables.get(parent)?.get(reference ?? ''));
}

/**
 * What a subscriber of each account has by the feed, who loads a resource again where he is told to: at the end of that transaction, as
 * all rows were then.
 */
function replay(from: number, doesMove: boolean): { replica: Map<string, Rows>; told: number } {
  const tables = new Map(RESOURCES.map((name) => [name, new Map() as Rows]));
  const replica = new Map<string, Rows>();
  let told = 0;
  const places = Map.groupBy(world.reader.changes.slice(from), ({ commitLsn }) => commitLsn);
  for (const [, changes] of [...places].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const again = new Set<string>();
    for (const { op, account, resource, before, after, resetReason } of changes.toSorted(
      (a, b) => a.index - b.index,
    )) {
      const id = `${account}/${resource}`;
      if (op === 'truncate') {
        expect(resetReason).toBe('parent_moved');
        again.add(id);
        continue;
      }
      const records = replica.get(id) ?? new Map();
      replica.set(id, records);
      if (after !== null) {
        records.set(after.id, after);
        tables.get(resource)?.set(after.id ?? null, after);
        continue;
      }
      if (!doesMove) expect(records.has(before?.id), `${op} of ${id} ${before?.id}`).toBe(true);
      records.delete(before?.id);
      tables.get(resource)?.delete(before?.id ?? null);
    }
    for (const id of again) {
      told += 1;
      const [account = '', resource = ''] = id.split('/');
      const rows = [...(tables.get(resource) ?? [])].filter(
        ([, row]) => ownerOf(tables, resource, row) === account,
      );
      replica.set(id, new Map(rows));
    }
  }
  return { replica, told };
}

const RESOURCES = ['customers', 'invoices', 'lines'];

const SOURCE = `
  select 'customers' as resource, c.account_id as account, c.id::text from app.customers c where account_id is not null
  union all
  select 'invoices', c.account_id, i.id::text from app.invoices i join app.customers c on c.id = i.customer_id where account_id is not null
  union all
  select 'lines', c.account_id, l.id::text from app.lines l join app.invoices i on i.id = l.invoice_id
    join app.customers c on c.id = i.customer_id where account_id is not null`;

const small = fc.integer({ min: 1, max: 6 });
const accountSql = fc.constantFrom("'acme'", "'globex'", "'initech'", 'null');
/** A record that is deleted and made again in one transaction with another account is told as a move too. */
const ownAccount = (id: number) => ["'acme'", "'globex'", "'initech'"][id % 3] ?? 'null';
const step = (doesMove: boolean) =>
  fc.oneof(
    fc
      .tuple(small, accountSql)
      .map(
        ([id, of]) =>
          `insert into app.customers values (${id}, ${doesMove ? of : ownAccount(id)}) on conflict do nothing`,
      ),
    fc
      .tuple(small, small, fc.boolean())
      .map(
        ([id, of, none]) =>
          `insert into app.invoices values (${id}, 1, ${none ? 'null' : of}) on conflict do nothing`,
      ),
    fc
      .tuple(small, small)
      .map(([id, of]) => `insert into app.lines values (${id}, ${of}) on conflict do nothing`),
    small.map((id) => `delete from app.customers where id = ${id}`),
    small.map((id) => `delete from app.invoices where id = ${id}`),
    small.map((id) => `delete from app.lines where id = ${id}`),
    small.map((id) => `update app.customers set name = coalesce(name, '') || 'x' where id = ${id}`),
    fc.tuple(small, small).map(([id, of]) => `update app.lines set invoice_id = ${of} where id = ${id}`),
    small.map((id) => `update app.lines set id = id + 100 where id = ${id}`),
    ...(doesMove
      ? [
          fc
            .tuple(small, accountSql)
            .map(([id, of]) => `update app.customers set account_id = ${of} where id = ${id}`),
          fc
            .tuple(small, small)
            .map(([id, of]) => `update app.invoices set customer_id = ${of} where id = ${id}`),
          small.map((id) => `update app.invoices set customer_id = null where id = ${id}`),
        ]
      : []),
  );

const transactions = (doesMove: boolean) =>
  fc.array(fc.array(step(doesMove), { minLength: 1, maxLength: 6 }), { minLength: 40, maxLength: 120 });

/** Three writers beside each other; what a constraint or a deadlock refuses is undone. */
async function write(
  all: readonly (readonly string[])[],
  between: (at: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const writer = async () => {
    for (let at = next++; at < all.length; at = next++) {
      await world.pool
        .query(`begin; set constraints all deferred; ${all[at]?.join('; ')}; commit`)
        .catch(() => world.pool.query('rollback'));
      await between(at);
    }
  };
  await Promise.all([writer(), writer(), writer()]);
}

async function clear(): Promise<number> {
  await world.pool.query('delete from app.lines; delete from app.invoices; delete from app.customers');
  await passAll();
  return world.reader.changes.length;
}

const FOREIGN_KEYS = [
  `alter table app.invoices add constraint invoices_customer_id_fkey foreign key (customer_id)
     references app.customers on delete cascade deferrable initially immediate`,
  `alter table app.lines add constraint lines_invoice_id_fkey foreign key (invoice_id)
     references app.invoices on delete cascade deferrable`,
];

test.each([
  ['nothing is told to begin anew while no parent moves', false, true],
  ['what a moved parent takes along is told to begin anew', true, true],
  ['children come before their parents and stay after them, without foreign keys', true, false],
])(
  'a replica of each account is the source, through kills: %s',
  async (_, doesMove, areKeysEnforced) => {
    if (!areKeysEnforced) {
      await world.pool.query(`alter table app.invoices drop constraint invoices_customer_id_fkey;
        alter table app.lines drop constraint lines_invoice_id_fkey`);
      onTestFinished(async () => {
        await world.pool.query(
          ['truncate app.customers, app.invoices, app.lines', ...FOREIGN_KEYS].join('; '),
        );
      });
    }
    await fc.assert(
      fc.asyncProperty(transactions(doesMove), fc.nat(), async (all, seed) => {
        let capture = world.spawn();
        await waitFor(
          'the feed',
          () => capture.hasLogged('routes.filled') || capture.hasLogged('routes.resumed'),
        );
        const from = await clear();
        await write(all, async (at) => {
          if (at % 40 !== seed % 40) return;
          await capture.kill();
          capture = world.spawn();
        });
        await passAll();
        const { replica, told } = replay(from, doesMove);
        if (!doesMove) expect(told).toBe(0);
        const { rows } = await world.pool.query<{ resource: string; account: string; id: string }>(SOURCE);
        for (const of of ['acme', 'globex', 'initech']) {
          for (const resource of RESOURCES) {
            const source = rows.filter((row) => row.account === of && row.resource === resource);
            const has = [...(replica.get(`${of}/${resource}`)?.keys() ?? [])];
            expect(has.toSorted(), `${of}/${resource}`).toEqual(source.map(({ id }) => id).toSorted());
          }
        }
        await world.endAll();
      }),
      { numRuns: 2, endOnFailure: true },
    );
  },
  180_000,
);

test('without a foreign key a parent that comes, goes or moves is told to those whose children refer to it', async () => {
  await world.pool.query(`alter table app.invoices drop constraint invoices_customer_id_fkey;
    alter table app.lines drop constraint lines_invoice_id_fkey`);
  onTestFinished(async () => {
    await world.pool.query(
      [
        'delete from app.lines where id >= 800; delete from app.invoices where id >= 800; delete from app.customers where id >= 800',
        ...FOREIGN_KEYS,
      ].join('; '),
    );
  });
  await start();
  // Nobody waits for these.
  expect(await toldOf(`insert into app.customers values (800, 'acme')`)).toEqual([
    'insert customers 800 acme',
  ]);
  expect(
    await toldOf(`insert into app.invoices values (800, 1, 800); insert into app.lines values (800, 800)`),
  ).toEqual(['insert invoices 800 acme', 'insert lines 800 acme']);
  expect(await toldOf(`insert into app.lines values (801, 801)`)).toEqual(['insert lines 801 -']);
  expect(await toldOf(`insert into app.invoices values (801, 1, 801)`)).toEqual(['insert invoices 801 -']);
  // Both wait for it, over two hops.
  expect(await toldOf(`insert into app.customers values (801, 'globex')`)).toEqual([
    'insert customers 801 globex',
    'parent_moved invoices globex',
    'parent_moved lines globex',
  ]);
  // It goes, and they stay; another one comes.
  expect(await toldOf(`delete from app.customers where id = 801`)).toEqual([
    'delete customers 801 globex',
    'parent_moved invoices globex',
    'parent_moved lines globex',
  ]);
  expect(await toldOf(`update app.lines set body = 'b' where id = 801`)).toEqual(['update lines 801 -']);
  expect(await toldOf(`insert into app.customers values (801, 'acme')`)).toEqual([
    'insert customers 801 acme',
    'parent_moved invoices acme',
    'parent_moved lines acme',
  ]);
  // In the middle, only the last have to begin anew; many at once are told once.
  await toldOf(`insert into app.invoices select n, 1, 800 from generate_series(810, 819) n;
    insert into app.lines select n, n from generate_series(810, 819) n`);
  expect(
    (await toldOf(`delete from app.invoices where id between 810 and 819`)).filter(
      (each) => !each.startsWith('delete'),
    ),
  ).toEqual(['parent_moved lines acme']);
  // It goes with all that it has, before them and after them.
  expect(
    await toldOf(
      `delete from app.customers where id = 800; delete from app.lines where id = 800; delete from app.invoices where id = 800`,
    ),
  ).toEqual(['delete customers 800 acme', 'delete lines 800 acme', 'delete invoices 800 acme']);
  expect(await toldOf(`delete from app.lines where id >= 810`)).toHaveLength(10);
  expect(await toldOf(`insert into app.invoices values (810, 1, 801)`)).toEqual(['insert invoices 810 acme']);
  // What was counted before the routes began is counted on.
  await toldOf(`insert into app.lines values (820, 820)`);
  const before = await generation();
  await world.pool.query(
    // Of the same type as before: a record that may be another's has its account of one type.
    'alter table app.customers alter account_id type text using lower(account_id)',
  );
  await waitFor('routes of a later generation', async () => (await generation()) > before);
  await passAll();
  expect(await toldOf(`insert into app.invoices values (820, 1, 801)`)).toEqual([
    'insert invoices 820 acme',
    'parent_moved lines acme',
  ]);
}, 60_000);

test('a record has the account of what it refers to by its type, and none of another type or of nothing', async () => {
  await world.pool.query(`insert into app.shops values (950, 'acme'); insert into app.orders values (950, 950);
    insert into app.customers values (950, 'globex')`);
  await start();
  expect(
    await toldOf(`insert into app.comments values (1, 'Order', 950), (2, 'Customer', 950), (3, 'Team', 950),
      (4, 'Customer', null), (5, null, 950)`),
  ).toEqual([
    'insert comments 1 acme',
    'insert comments 2 globex',
    'insert comments 3 -',
    'insert comments 4 -',
    'insert comments 5 -',
  ]);
  expect(await toldOf(`update app.comments set of_type = 'Customer' where id = 1`)).toEqual([
    'delete comments 1 acme',
    'insert comments 1 globex',
  ]);
  expect(
    await toldOf(
      `update app.comments set of_type = null where id = 1; update app.comments set of_id = null where id = 2`,
    ),
  ).toEqual([
    'delete comments 1 globex',
    'insert comments 1 -',
    'delete comments 2 globex',
    'insert comments 2 -',
  ]);
  await toldOf(`update app.comments set of_type = 'Order', of_id = 950 where id in (1, 2)`);
  // A record under the same key of another kind concerns nobody.
  expect(await toldOf(`update app.customers set account_id = 'acme' where id = 950`)).toEqual([
    'delete customers 950 globex',
    'insert customers 950 acme',
  ]);
  expect(await toldOf(`update app.shops set account_id = 'globex' where id = 950`)).toEqual([
    'delete shops 950 acme',
    'insert shops 950 globex',
    'parent_moved orders acme',
    'parent_moved orders globex',
    'parent_moved comments acme',
    'parent_moved comments globex',
  ]);
  await toldOf(
    `delete from app.comments; delete from app.orders where id = 950; delete from app.customers where id = 950`,
  );
});

test('an account is told if its snapshot sees a child and not its parent, which committed before', async () => {
  await start();
  const control = createControlPool(world.url, silentLog, { applicationName: 'test order' });
  onTestFinished(() => control.end());
  const lsn = async () => {
    const { rows } = await world.pool.query<{ lsn: string }>(
      'select pg_current_wal_insert_lsn()::text as lsn',
    );
    return parseLsn(rows[0]?.lsn ?? '');
  };
  const startLsn = await lsn();
  const xidOf = async (statement: string) => {
    const { rows } = await world.pool.query<{ xid: string }>(
      `with done as (${statement}) select pg_current_xact_id()::text as xid`,
    );
    return BigInt(rows[0]?.xid ?? '');
  };
  const parent = await xidOf(`insert into app.customers values (900, 'acme')`);
  const child = await xidOf(`insert into app.invoices values (900, 1, 900)`);
  await passAll();
  const told = async (snapshot: { xmin: bigint; xmax: bigint; xip: bigint[] }) => {
    const from = world.reader.changes.length;
    const claim = { id: 'exp_order', accountSourceId: 'acme' } as ClaimedExport;
    const sealing = { query: (text: string, values: unknown[]) => world.pool.query(text, values) };
    const { resources } = parseCatalog(CATALOG, 'parents.yaml');
    const held = { snapshot, lsn: formatLsn(await lsn()), name: '', takenAt: '' };
    await tellOutOfOrder(sealing as never, control, claim, resources, held, startLsn, silentLog);
    await passAll();
    return world.reader.changes
      .slice(from)
      .filter(({ op, account }) => op === 'truncate' && account === 'acme')
      .map(({ resource }) => resource);
  };
  const after = child + 1n;
  expect(await told({ xmin: after, xmax: after, xip: [] })).toEqual([]);
  expect(await told({ xmin: parent, xmax: parent, xip: [] })).toEqual([]);
  expect(await told({ xmin: parent, xmax: after, xip: [child] })).toEqual([]);
  expect(new Set(await told({ xmin: parent, xmax: after, xip: [parent] }))).toEqual(
    new Set(['invoices', 'lines', 'orders', 'visits', 'comments']),
  );
  // The child refers to the same parent as before, which moves.
  const update = await xidOf('update app.invoices set total = 6 where id = 900');
  const move = await xidOf(`update app.customers set account_id = 'globex' where id = 900`);
  await passAll();
  expect(await told({ xmin: update, xmax: move + 1n, xip: [] })).toEqual([]);
  expect(await told({ xmin: update, xmax: move + 1n, xip: [update] })).toContain('invoices');
  await world.pool.query('delete from app.customers where id = 900');
});

test('routes of earlier generations, and of records that were deleted long ago, are swept', async () => {
  await start();
  const current = String(await generation());
  await world.pool.query(
    `insert into tandem.routes (generation, resource, key, since_lsn, owner, is_deleted, written_at) values
       (0, 'customers', '["1"]', '0/0', 'acme', false, now()),
       ($1, 'customers', '["gone"]', '0/0', 'acme', false, now()),
       ($1, 'customers', '["gone"]', '0/1', 'acme', true, now() - interval '8 days'),
       ($1, 'customers', '["late"]', '0/1', 'acme', true, now())`,
    [current],
  );
  const kept = async () => {
    const { rows } = await world.pool.query<{ key: string }>(
      `select key from tandem.routes where generation = 0 or key in ('["gone"]', '["late"]')`,
    );
    return rows.map(({ key }) => key);
  };
  const control = createControlPool(world.url, silentLog, { applicationName: 'test sweep' });
  onTestFinished(() => control.end());
  expect(await sweepGenerations(control, current)).toBe(false);
  expect(await sweepRoutes(control, current, parseLsn('0/2'))).toBe(false);
  expect(await kept()).toEqual(['["late"]']);
});

test('a record that moves often keeps no route that a later old one replaces', async () => {
  await start();
  await world.endAll();
  const control = createControlPool(world.url, silentLog, { applicationName: 'test routes' });
  onTestFinished(() => control.end());
  const state = await takeRoutes(control, 'test');
  const { generation = '', completeTo: storedTo = 0n } = state ?? {};
  const old = ['0/0', '0/10', '0/20', '0/30'];
  await world.pool.query(
    `insert into tandem.routes (generation, resource, key, since_lsn, owner, is_deleted, written_at)
     select $1, 'customers', '["often"]', lsn, 'acme', false, now() - interval '8 days' from unnest($2::pg_lsn[]) lsn`,
    [generation, old],
  );
  const route = {
    resource: 'customers',
    key: '["often"]',
    owner: 'globex',
    isDeleted: false,
    referredBy: [],
  };
  const additions = { routes: [{ ...route, sinceLsn: storedTo }], references: [], commits: [] };
  const writer = { owner: 'test', generation, storedTo, passedLsn: parseLsn('0/25') };
  await addRoutes(control, writer, additions, storedTo);
  const { rows } = await world.pool.query<{ lsn: string }>(
    `select since_lsn::text as lsn from tandem.routes where key = '["often"]' order by since_lsn`,
  );
  expect(rows.map(({ lsn }) => lsn)).toEqual(['0/20', '0/30', formatLsn(storedTo)]);
});

test('commits are kept for an hour, and as long as an export may ask for them', async () => {
  await start();
  const current = String(await generation());
  await world.pool.query(
    `insert into tandem.route_commits (generation, commit_lsn, xid, has_routes, has_references, written_at)
     select $1, c.lsn, '1', true, false, now() - c.age
     from (values ('0/1'::pg_lsn, interval '2 hours'), ('0/2', '2 hours'), ('0/3', '1 minute')) c (lsn, age)`,
    [current],
  );
  await world.pool.query(`insert into tandem.exports (id, request, resources, status, phase, start_lsn)
    values ('exp_commits', '{}', '{}', 'running', 'extracting', '0/2')`);
  onTestFinished(() =>
    world.pool.query(`delete from tandem.exports where id = 'exp_commits'`).then(() => undefined),
  );
  const control = createControlPool(world.url, silentLog, { applicationName: 'test sweep' });
  onTestFinished(() => control.end());
  const kept = async () => {
    expect(await sweepRoutes(control, current, parseLsn('0/5'))).toBe(false);
    const { rows } = await world.pool.query<{ lsn: string }>(
      `select commit_lsn::text as lsn from tandem.route_commits where commit_lsn < '0/9' order by commit_lsn`,
    );
    return rows.map(({ lsn }) => lsn);
  };
  expect(await kept()).toEqual(['0/2', '0/3']);
  await world.pool.query(`update tandem.exports set status = 'completed' where id = 'exp_commits'`);
  expect(await kept()).toEqual(['0/3']);
});
