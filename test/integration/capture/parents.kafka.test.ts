import { afterAll, afterEach, beforeAll, expect, onTestFinished, test } from 'vitest';
import { tellOutOfOrder } from '../../../services/extractor/export/tell-out-of-order.ts';
import type { ClaimedExport } from '../../../shared/control/exports/queue-exports.ts';
import { formatLsn, parseLsn } from '../../../shared/domain/lsn.ts';
import { createControlPool } from '../../../shared/postgres/pool.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import type { CaptureWorld } from '../../support/capture-world.ts';
import {
  createParentsWorld,
  DROP_FOREIGN_KEYS,
  FOREIGN_KEYS,
  isMarker,
  PARENTS_CATALOG,
  type ParentsWorld,
} from '../../support/parents-world.ts';
import { waitFor } from '../../support/wait-for.ts';

const cleanup = new AsyncDisposableStack();
let parents: ParentsWorld;
let world: CaptureWorld;

beforeAll(async () => {
  parents = cleanup.use(await createParentsWorld());
  world = parents.capture;
});
afterAll(() => cleanup.disposeAsync());
afterEach(() => world?.endAll());

test('records have the account of what they refer to, however their transactions are written', async () => {
  await parents.start();
  expect(await parents.toldOf(`insert into app.lines values (101, 10)`)).toEqual(['insert lines 101 acme']);
  expect(
    await parents.toldOf(`set constraints all deferred; insert into app.lines values (500, 50);
      insert into app.invoices values (50, 1, 5); insert into app.customers values (5, 'globex')`),
  ).toEqual(['insert lines 500 globex', 'insert invoices 50 globex', 'insert customers 5 globex']);
  // Both are gone when the stream is read.
  expect(await parents.toldOf(`delete from app.customers where id = 5`)).toEqual([
    'delete customers 5 globex',
    'delete invoices 50 globex',
    'delete lines 500 globex',
  ]);
  // A reference that changes, within the account and to another.
  expect(await parents.toldOf(`update app.invoices set customer_id = 3 where id = 10`)).toEqual([
    'update invoices 10 acme',
  ]);
  expect(await parents.toldOf(`update app.invoices set customer_id = 2 where id = 10`)).toEqual([
    'delete invoices 10 acme',
    'insert invoices 10 globex',
    'parent_moved lines acme',
    'parent_moved lines globex',
  ]);
  expect(await parents.toldOf(`update app.invoices set customer_id = null where id = 10`)).toEqual([
    'delete invoices 10 globex',
    'insert invoices 10 -',
    'parent_moved lines globex',
  ]);
  // A parent that moves.
  expect(await parents.toldOf(`update app.customers set account_id = 'acme' where id = 2`)).toEqual([
    'delete customers 2 globex',
    'insert customers 2 acme',
    'parent_moved invoices globex',
    'parent_moved invoices acme',
    'parent_moved lines globex',
    'parent_moved lines acme',
  ]);
  // Each account is told once, of however many.
  expect(
    (await parents.toldOf(`update app.customers set account_id = 'globex' where id in (2, 3)`)).filter(
      (each) => each.startsWith('parent_moved'),
    ),
  ).toEqual([
    'parent_moved invoices acme',
    'parent_moved invoices globex',
    'parent_moved lines acme',
    'parent_moved lines globex',
  ]);
  await parents.toldOf(`update app.customers set account_id = 'acme' where id in (2, 3)`);
  // What goes in the transaction of the move was the former account's.
  expect(
    (
      await parents.toldOf(
        `update app.customers set account_id = 'globex' where id = 2; delete from app.lines where id = 200`,
      )
    ).at(-1),
  ).toBe('delete lines 200 acme');
  await parents.toldOf(`update app.customers set account_id = 'acme' where id = 2`);
  expect(await parents.toldOf(`insert into app.lines values (102, 20)`)).toEqual(['insert lines 102 acme']);
  expect(await parents.toldOf(`insert into app.invoices values (41, 1, 4), (42, 1, null)`)).toEqual([
    'insert invoices 41 -',
    'insert invoices 42 -',
  ]);
});

test('a parent that comes under the key of a deleted one owns what its transaction made, and of no other', async () => {
  await parents.start();
  await parents.toldOf(`insert into app.customers values (700, 'globex')`);
  await parents.toldOf(`delete from app.customers where id = 700`);
  expect(
    await parents.toldOf(`insert into app.customers values (700, 'acme'); insert into app.invoices values (700, 1, 700), (701, 1, 700);
      update app.invoices set total = 2 where id = 700; delete from app.invoices where id = 701`),
  ).toEqual([
    'insert customers 700 acme',
    'insert invoices 700 acme',
    'insert invoices 701 acme',
    'update invoices 700 acme',
    'delete invoices 701 acme',
  ]);
  // Moved and deleted at once with all that it had: nobody has to begin again.
  expect(
    await parents.toldOf(`update app.customers set account_id = 'globex' where id = 700; insert into app.invoices values (702, 1, 700);
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
  await parents.toldOf(
    `insert into app.customers values (710, 'acme'); insert into app.invoices values (710, 1, 710)`,
  );
  const told = await parents.toldOf(`update app.customers set account_id = 'globex' where id = 710;
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
    await parents.toldOf(`set constraints all deferred; insert into app.invoices values (703, 1, 700);
      update app.invoices set customer_id = 1 where id = 703`),
  ).toEqual(['insert invoices 703 -', 'delete invoices 703 -', 'insert invoices 703 acme']);
  expect(await parents.toldOf(`insert into app.customers values (700, 'acme')`)).toEqual([
    'insert customers 700 acme',
  ]);
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
  await parents.passAll();
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
  await parents.passAll();
});

test('without a foreign key a parent that comes, goes or moves is told to those whose children refer to it', async () => {
  await world.pool.query(DROP_FOREIGN_KEYS);
  onTestFinished(async () => {
    await world.pool.query(
      [
        'delete from app.lines where id >= 800; delete from app.invoices where id >= 800; delete from app.customers where id >= 800',
        ...FOREIGN_KEYS,
      ].join('; '),
    );
  });
  await parents.start();
  // Nobody waits for these.
  expect(await parents.toldOf(`insert into app.customers values (800, 'acme')`)).toEqual([
    'insert customers 800 acme',
  ]);
  expect(
    await parents.toldOf(
      `insert into app.invoices values (800, 1, 800); insert into app.lines values (800, 800)`,
    ),
  ).toEqual(['insert invoices 800 acme', 'insert lines 800 acme']);
  expect(await parents.toldOf(`insert into app.lines values (801, 801)`)).toEqual(['insert lines 801 -']);
  expect(await parents.toldOf(`insert into app.invoices values (801, 1, 801)`)).toEqual([
    'insert invoices 801 -',
  ]);
  // Both wait for it, over two hops.
  expect(await parents.toldOf(`insert into app.customers values (801, 'globex')`)).toEqual([
    'insert customers 801 globex',
    'parent_moved invoices globex',
    'parent_moved lines globex',
  ]);
  // It goes, and they stay; another one comes.
  expect(await parents.toldOf(`delete from app.customers where id = 801`)).toEqual([
    'delete customers 801 globex',
    'parent_moved invoices globex',
    'parent_moved lines globex',
  ]);
  expect(await parents.toldOf(`update app.lines set body = 'b' where id = 801`)).toEqual([
    'update lines 801 -',
  ]);
  expect(await parents.toldOf(`insert into app.customers values (801, 'acme')`)).toEqual([
    'insert customers 801 acme',
    'parent_moved invoices acme',
    'parent_moved lines acme',
  ]);
  // In the middle, only the last have to begin again; many at once are told once.
  await parents.toldOf(`insert into app.invoices select n, 1, 800 from generate_series(810, 819) n;
    insert into app.lines select n, n from generate_series(810, 819) n`);
  expect(
    (await parents.toldOf(`delete from app.invoices where id between 810 and 819`)).filter(
      (each) => !each.startsWith('delete'),
    ),
  ).toEqual(['parent_moved lines acme']);
  // It goes with all that it has, before them and after them.
  expect(
    await parents.toldOf(
      `delete from app.customers where id = 800; delete from app.lines where id = 800; delete from app.invoices where id = 800`,
    ),
  ).toEqual(['delete customers 800 acme', 'delete lines 800 acme', 'delete invoices 800 acme']);
  expect(await parents.toldOf(`delete from app.lines where id >= 810`)).toHaveLength(10);
  expect(await parents.toldOf(`insert into app.invoices values (810, 1, 801)`)).toEqual([
    'insert invoices 810 acme',
  ]);
  // What was counted before the routes began is counted on.
  await parents.toldOf(`insert into app.lines values (820, 820)`);
  const before = await parents.generation();
  await world.pool.query(
    // Of the same type as before: a record that may be another's has its account of one type.
    'alter table app.customers alter account_id type text using lower(account_id)',
  );
  await waitFor('routes of a later generation', async () => (await parents.generation()) > before);
  await parents.passAll();
  expect(await parents.toldOf(`insert into app.invoices values (820, 1, 801)`)).toEqual([
    'insert invoices 820 acme',
    'parent_moved lines acme',
  ]);
});

test('a record has the account of what it refers to by its type, and none of another type or of nothing', async () => {
  await world.pool.query(`insert into app.shops values (950, 'acme'); insert into app.orders values (950, 950);
    insert into app.customers values (950, 'globex')`);
  await parents.start();
  expect(
    await parents.toldOf(`insert into app.comments values (1, 'Order', 950), (2, 'Customer', 950), (3, 'Team', 950),
      (4, 'Customer', null), (5, null, 950)`),
  ).toEqual([
    'insert comments 1 acme',
    'insert comments 2 globex',
    'insert comments 3 -',
    'insert comments 4 -',
    'insert comments 5 -',
  ]);
  expect(await parents.toldOf(`update app.comments set of_type = 'Customer' where id = 1`)).toEqual([
    'delete comments 1 acme',
    'insert comments 1 globex',
  ]);
  expect(
    await parents.toldOf(
      `update app.comments set of_type = null where id = 1; update app.comments set of_id = null where id = 2`,
    ),
  ).toEqual([
    'delete comments 1 globex',
    'insert comments 1 -',
    'delete comments 2 globex',
    'insert comments 2 -',
  ]);
  await parents.toldOf(`update app.comments set of_type = 'Order', of_id = 950 where id in (1, 2)`);
  // A record under the same key of another kind concerns nobody.
  expect(await parents.toldOf(`update app.customers set account_id = 'acme' where id = 950`)).toEqual([
    'delete customers 950 globex',
    'insert customers 950 acme',
  ]);
  expect(await parents.toldOf(`update app.shops set account_id = 'globex' where id = 950`)).toEqual([
    'delete shops 950 acme',
    'insert shops 950 globex',
    'parent_moved orders acme',
    'parent_moved orders globex',
    'parent_moved comments acme',
    'parent_moved comments globex',
  ]);
  await parents.toldOf(
    `delete from app.comments; delete from app.orders where id = 950; delete from app.customers where id = 950`,
  );
});

test('an account is told if its snapshot sees a child and not its parent, which committed before', async () => {
  await parents.start();
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
  await parents.passAll();
  const told = async (snapshot: { xmin: bigint; xmax: bigint; xip: bigint[] }) => {
    const from = world.reader.changes.length;
    const claim = { id: 'exp_order', accountSourceId: 'acme' } as ClaimedExport;
    const sealing = { query: (text: string, values: unknown[]) => world.pool.query(text, values) };
    const { resources } = PARENTS_CATALOG;
    const held = { snapshot, lsn: formatLsn(await lsn()), name: '', takenAt: '' };
    await tellOutOfOrder(sealing as never, control, claim, resources, held, startLsn, silentLog);
    await parents.passAll();
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
  await parents.passAll();
  expect(await told({ xmin: update, xmax: move + 1n, xip: [] })).toEqual([]);
  expect(await told({ xmin: update, xmax: move + 1n, xip: [update] })).toContain('invoices');
  await world.pool.query('delete from app.customers where id = 900');
});
