import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Reference, readReferences } from '../../../services/extractor/plan/references.ts';
import { keysQuery } from '../../../services/extractor/plan/row-selection.ts';
import { parseCatalog } from '../../../shared/catalog/load-catalog.ts';
import { parseExportRequest } from '../../../shared/control/exports/export-request.ts';
import type { Resource } from '../../../shared/domain/catalog.ts';
import { createControlPool } from '../../../shared/postgres/pool.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { createDatabase, type TestDatabase } from '../../support/stack.ts';

const NAMES = ['regions', 'customers', 'invoices', 'lines', 'credits'];

const CATALOG = `catalog: shop\nresources:\n${NAMES.map(
  (name) => `  ${name}:
    table: shop.${name}
    event: ${name.slice(0, -1)}
    key: [id]
    account: account
    range: at
    soft_delete: gone
`,
).join('')}`;

// Regions nest, credits refer to two tables, and about every third row of all is soft-deleted.
const TABLES = `
create schema shop;
create table shop.regions (id integer primary key, account text not null, at timestamptz not null, gone timestamptz,
  parent integer references shop.regions);
create table shop.customers (id integer primary key, account text not null, at timestamptz not null, gone timestamptz,
  region integer references shop.regions, unique (account, id));
create table shop.invoices (id integer primary key, account text not null, at timestamptz not null, gone timestamptz,
  customer integer not null, foreign key (account, customer) references shop.customers (account, id));
create table shop.lines (id integer, account text not null, at timestamptz not null, gone timestamptz,
  invoice integer not null references shop.invoices, primary key (id)) partition by range (id);
create table shop.lines_low partition of shop.lines for values from (0) to (40);
create table shop.lines_high partition of shop.lines for values from (40) to (1000);
create table shop.credits (id integer primary key, account text not null, at timestamptz not null, gone timestamptz,
  invoice integer references shop.invoices, customer integer not null references shop.customers);
select setseed(0.5);
create function shop.at() returns timestamptz language sql volatile as
  $$ select timestamptz '2026-01-01Z' + random() * interval '100 days' $$;
create function shop.gone() returns timestamptz language sql volatile as
  $$ select case when random() < 0.35 then now() end $$;
insert into shop.regions select g, 'acme', shop.at(), shop.gone(), nullif(g / 2, 0) from generate_series(1, 12) g;
insert into shop.customers select g, 'acme', shop.at(), shop.gone(), 1 + g % 12 from generate_series(1, 30) g;
insert into shop.invoices select g, 'acme', shop.at(), shop.gone(), 1 + g % 25 from generate_series(1, 60) g;
insert into shop.lines select g, 'acme', shop.at(), shop.gone(), 1 + g % 50 from generate_series(1, 120) g;
insert into shop.credits select g, 'acme', shop.at(), shop.gone(), case when g % 2 = 0 then g end, 1 + g % 30
  from generate_series(1, 20) g;`;

let database: TestDatabase;
let db: pg.Pool;
let references: Reference[];
const { resources } = parseCatalog(CATALOG, 'catalog.yaml');

beforeAll(async () => {
  database = await createDatabase('related');
  db = createControlPool(database.url, silentLog, { applicationName: 'test' });
  await db.query(TABLES);
  references = await readReferences(sessionOf(db), resources);
});

afterAll(async () => {
  await db?.end();
  await database?.[Symbol.asyncDispose]();
});

function sessionOf(pool: pg.Pool): Parameters<typeof readReferences>[0] {
  return {
    async query(text, values) {
      const { rows, rowCount } = await pool.query(text, values && [...values]);
      return { rows, rowCount: rowCount ?? 0 };
    },
  };
}

async function select(request: Record<string, unknown>): Promise<Map<string, Set<number>>> {
  const parsed = parseExportRequest({ include_related: true, ...request });
  const keys = async (resource: Resource) => {
    const { text, values } = keysQuery({ resource, request: parsed, accountSourceId: 'acme', references });
    const { rows } = await db.query<{ id: number }>(text, [...values]);
    return new Set(rows.map(({ id }) => id));
  };
  const all = new Map<string, Set<number>>();
  for (const resource of resources) all.set(resource.name, await keys(resource));
  return all;
}

async function danglingReferences(selected: Map<string, Set<number>>): Promise<string[]> {
  const found: string[] = [];
  for (const { from, to, columns } of references) {
    const column = columns.at(-1)?.from ?? '';
    const { rows } = await db.query<{ id: number; parent: number | null }>(
      `select id, "${column}" as parent from shop.${from.name}`,
    );
    for (const { id, parent } of rows) {
      if (parent === null || selected.get(from.name)?.has(id) !== true) continue;
      if (selected.get(to.name)?.has(parent) !== true)
        found.push(`${from.name} ${id} → ${to.name} ${parent}`);
    }
  }
  return found;
}

const RANGE = { from: '2026-02-01T00:00:00Z', to: '2026-03-01T00:00:00Z', field: null };

test('the foreign keys are found, of a partitioned table once', () => {
  expect(references.map(({ from, to }) => `${from.name} → ${to.name}`).sort()).toEqual([
    'credits → customers',
    'credits → invoices',
    'customers → regions',
    'invoices → customers',
    'lines → invoices',
    'regions → regions',
  ]);
});

test.each([
  { resources: ['invoices'] },
  { resources: ['invoices'], date_range: RANGE },
  { resources: ['invoices'], date_range: RANGE, include_deleted: true },
  { resources: ['lines', 'credits'], date_range: RANGE },
  { resources: ['invoices', 'customers'], date_range: RANGE },
])('every foreign key resolves in %j with what is related', async (request) => {
  const selected = await select(request);
  expect(await danglingReferences(selected)).toEqual([]);
  for (const name of NAMES) expect(selected.get(name)?.size).toBeGreaterThan(0);
});

test('the lines of invoices outside of the range stay out, and so do deleted rows that nothing refers to', async () => {
  const selected = await select({ resources: ['invoices'], date_range: RANGE });
  const { rows } = await db.query<{ id: number }>(
    `select l.id from shop.lines l join shop.invoices i on i.id = l.invoice
     where l.gone is null and i.at >= '${RANGE.from}' and i.at < '${RANGE.to}' order by 1`,
  );
  expect([...(selected.get('lines') ?? [])]).toEqual(rows.map(({ id }) => id));
  const { rows: unreferred } = await db.query<{ id: number }>(
    `select id from shop.customers c where gone is not null
       and not exists (select from shop.invoices where customer = c.id)
       and not exists (select from shop.credits where customer = c.id)`,
  );
  for (const { id } of unreferred) expect(selected.get('customers')?.has(id)).toBe(false);
});
