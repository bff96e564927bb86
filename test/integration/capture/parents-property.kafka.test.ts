import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test } from 'vitest';
import type { CaptureWorld } from '../../support/capture-world.ts';
import {
  createParentsWorld,
  DROP_FOREIGN_KEYS,
  FOREIGN_KEYS,
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

/** The same transactions each time; how writers and kills interleave differs. */
const SEED = 2026;

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
  await parents.passAll();
  return world.reader.changes.length;
}

test.each([
  ['nothing is told to begin again while no parent moves', false, true],
  ['what a moved parent takes along is told to begin again', true, true],
  ['children come before their parents and stay after them, without foreign keys', true, false],
])('a replica of each account is the source, through kills: %s', async (_, doesMove, areKeysEnforced) => {
  if (!areKeysEnforced) {
    await world.pool.query(DROP_FOREIGN_KEYS);
    onTestFinished(async () => {
      await world.pool.query(['truncate app.customers, app.invoices, app.lines', ...FOREIGN_KEYS].join('; '));
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
      await parents.passAll();
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
    { numRuns: 2, endOnFailure: true, seed: SEED },
  );
});
