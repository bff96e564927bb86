import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseCatalog } from '../../../shared/catalog/load-catalog.ts';
import { readTableFacts, readTypeVersions } from '../../../shared/catalog/table-facts.ts';
import {
  classifyFormChange,
  parseTableForm,
  type TableForm,
  toTableForm,
} from '../../../shared/catalog/table-form.ts';
import { createDatabase, type TestDatabase } from '../../support/stack.ts';

const CATALOG = parseCatalog(
  `
catalog: forms
resources:
  items: { table: app.items, event: item, key: [id], account: account_id, hide: [secret] }
  parts: { table: app.parts, event: part, key: [id, d], account: account_id }
`,
  'catalog.yaml',
);

const SCHEMA = `
  create schema app;
  create type app.mood as enum ('sad', 'ok');
  create type app.inner_pair as (x int, y text);
  create type app.pair as (x int, y text, i app.inner_pair[]);
  create domain app.label as app.mood;
  create table app.items (
    id bigint primary key, account_id text not null, amount int, name varchar(10), mood app.mood, moods app.label[],
    p app.pair, secret text, id_twice int generated always as (id * 2) stored);
  alter table app.items replica identity full;
  insert into app.items values (1, 'acme', 10, 'n', 'ok', '{ok}', '(1,a,"{""(1,b)""}")', 's');
  create table app.parts (id bigint, account_id text not null, d int not null, v int, primary key (id, d))
    partition by range (d);
  create table app.parts_1 partition of app.parts for values from (1) to (2);
  create table app.parts_2 partition of app.parts for values from (2) to (4) partition by range (d);
  create table app.parts_2a partition of app.parts_2 for values from (2) to (3);
  insert into app.parts values (1, 'acme', 1, 1), (2, 'acme', 2, 1);
  create table app.loner (id bigint, account_id text not null, d int not null, v int, primary key (id, d));
  create publication forms for table app.items, app.parts with (publish_via_partition_root = true)`;

let database: TestDatabase;
let db: pg.Client;

beforeAll(async () => {
  database = await createDatabase('forms');
  db = new pg.Client({ connectionString: database.url });
  await db.connect();
  await db.query(SCHEMA);
});
afterAll(async () => {
  await db?.end();
  await database?.drop();
});

const facts = () => readTableFacts(db, CATALOG.resources, 'forms');

/** What a look behind the statement finds, by resource: a reason, or the kind where there is none. */
async function judge(statement: string, maxFiles?: number): Promise<Record<string, string>> {
  const before = new Map<string, TableForm>();
  const found = await facts();
  for (const resource of CATALOG.resources) {
    const now = found.get(resource.name);
    // As it is kept: as text.
    const form = now && parseTableForm(JSON.stringify(toTableForm(resource, now, maxFiles)));
    if (form !== undefined) before.set(resource.name, form);
  }
  for (const sql of statement.split(';;')) await db.query(sql);
  const verdicts: Record<string, string> = {};
  const after = await facts();
  for (const resource of CATALOG.resources) {
    const [form, now] = [before.get(resource.name), after.get(resource.name)];
    if (form === undefined || now === undefined) continue;
    const change = await classifyFormChange(db, form, resource, now);
    if (change.kind !== 'none')
      verdicts[resource.name] = change.kind === 'reset' ? change.reason : change.kind;
  }
  return verdicts;
}

// Each statement finds the tables as the one before has left them.

describe('rows that show other values', () => {
  test.each([
    ['alter table app.items alter column amount type int using amount * 100', 'table_rewritten'],
    ['alter table app.items alter column amount type bigint', 'table_rewritten'],
    ['alter table app.items alter column name type varchar(3)', 'table_rewritten'],
    ['alter table app.items alter column name type app.mood using null', 'table_rewritten'],
    ['alter table app.items rename column amount to cents', 'columns_changed'],
    ['alter table app.items drop column cents', 'columns_changed'],
    ['alter table app.items drop column name;;alter table app.items add name text', 'columns_changed'],
    ['alter table app.items alter column id_twice drop expression', 'columns_changed'],
    ['alter table app.items add level int not null default 7', 'column_added_with_default'],
    ['alter table app.items add at timestamptz default clock_timestamp()', 'column_added_with_default'],
    ['alter table app.items add n bigint generated always as identity', 'column_added_with_default'],
    [`alter type app.mood rename value 'ok' to 'fine'`, 'type_changed'],
    [
      `alter type app.mood rename value 'fine' to 'ok';;alter type app.mood rename value 'ok' to 'fine'`,
      'type_changed',
    ],
    ['alter type app.pair add attribute z numeric cascade', 'type_changed'],
    ['alter type app.pair drop attribute x cascade', 'type_changed'],
    ['alter type app.inner_pair rename attribute y to why cascade', 'type_changed'],
    ['create table app.heir () inherits (app.items)', 'partition_changed'],
    ['drop table app.heir', 'partition_changed'],
    ['alter publication forms set table app.items where (id > 5), app.parts', 'publication_changed'],
    ['alter publication forms set table app.items (id, account_id), app.parts', 'publication_changed'],
    ['alter publication forms drop table app.items', 'publication_changed'],
    ['alter publication forms add table app.items', 'publication_changed'],
    [
      `create table app.other (like app.items including all);;drop table app.items;;
       alter table app.other rename to items`,
      'table_replaced',
    ],
  ])('%s: %s', async (statement, reason) => {
    expect((await judge(statement)).items).toBe(reason);
  });

  test('what the publication leaves out of all tables concerns all, also when it is put right at once', async () => {
    const both = { items: 'publication_changed', parts: 'publication_changed' };
    await db.query('alter publication forms add table app.items');
    expect(await judge(`alter publication forms set (publish = 'insert')`)).toEqual(both);
    const all = 'insert, update, delete, truncate';
    expect(
      await judge(
        `alter publication forms set (publish = '${all}');;alter publication forms set (publish = 'insert');;
         alter publication forms set (publish = '${all}')`,
      ),
    ).toEqual(both);
  });
});

describe('rows that come and go with a partition', () => {
  test.each([
    [
      `alter table app.parts detach partition app.parts_1;;
       alter table app.parts attach partition app.parts_1 for values from (1) to (2)`,
      'partition_changed',
    ],
    ['alter table app.parts alter column v type int using v * 2', 'table_rewritten'],
    ['alter table app.parts add w int default 7', 'column_added_with_default'],
    ['truncate app.parts_1', 'partition_changed'],
    ['truncate app.parts_2a;;insert into app.parts values (7, 1, 2, 1)', 'partition_changed'],
    [
      `insert into app.parts values (1, 1, 1, 1);;truncate app.parts_1;;
       insert into app.parts values (7, 1, 1, 1);;vacuum full app.parts_1`,
      'partition_changed',
    ],
    ['alter table app.parts_2 detach partition app.parts_2a', 'partition_changed'],
    ['alter table app.parts detach partition app.parts_1', 'partition_changed'],
    ['alter table app.parts attach partition app.parts_1 for values from (1) to (2)', 'partition_changed'],
    ['drop table app.parts_1', 'partition_changed'],
    [
      `begin;;create table app.p9 (like app.parts);;insert into app.p9 values (1, 'acme', 9, 1);;
       alter table app.parts attach partition app.p9 for values from (9) to (10);;commit`,
      'partition_changed',
    ],
    [
      `create table app.p8 (like app.parts) partition by range (d);;
       create table app.p8a partition of app.p8 for values from (8) to (9);;
       insert into app.p8 values (1, 'acme', 8, 1);;
       alter table app.parts attach partition app.p8 for values from (8) to (9)`,
      'partition_changed',
    ],
    ['drop table app.p8', 'partition_changed'],
    ['create unlogged table app.p7 partition of app.parts for values from (7) to (8)', 'partition_changed'],
    ['drop table app.p7, app.p9', 'partition_changed'],
  ])('%s: %s', async (statement, reason) => {
    expect(await judge(statement)).toEqual({ parts: reason });
  });
});

describe('what no row shows is no reset', () => {
  beforeAll(async () => {
    await db.query(`
      create table app.p1 partition of app.parts for values from (1) to (2);
      create table app.p3 partition of app.parts_2 for values from (3) to (4);
      insert into app.parts values (1, 'acme', 1, 1), (1, 'acme', 3, 1);
      alter table app.items add amount int, add short varchar(10);
      insert into app.items (id, account_id, n, amount) overriding system value values (1, 'acme', 1, 5)`);
  });

  test.each([
    'vacuum full app.items',
    'cluster app.items using other_pkey',
    'reindex table app.items',
    'alter table app.items set (fillfactor = 50)',
    'alter table app.items alter column amount set statistics 500',
    'alter table app.items alter column amount set default 5',
    'alter table app.items alter column amount set not null',
    'alter table app.items alter column short type varchar(20)',
    'alter table app.items alter column short type text',
    'alter table app.items add note text',
    'alter table app.items alter column secret type int using 1',
    'alter table app.items drop column secret',
    'alter table app.items disable trigger all',
    'set session_replication_role = replica;;update app.items set amount = 6;;reset session_replication_role',
    'create index on app.items (amount)',
    'truncate app.items',
    `alter type app.mood add value 'glad'`,
    `alter type app.mood add value 'best' before 'sad'`,
    'analyze app.items;;vacuum freeze app.items',
    'grant select on app.items to public',
    'vacuum full app.parts',
    'vacuum full app.p1;;vacuum freeze app.p1',
    'create table app.p9 partition of app.parts for values from (9) to (10);;insert into app.parts values (1, 1, 9)',
    `begin;;create table app.p10 partition of app.parts for values from (10) to (11);;
     insert into app.parts values (1, 1, 10);;commit`,
    'create table app.p2 partition of app.parts_2 for values from (2) to (3);;insert into app.parts values (1, 1, 2)',
    `begin;;create table app.p12 (like app.parts);;
     alter table app.parts attach partition app.p12 for values from (12) to (13);;commit`,
    'alter table app.loner add w int;;alter table app.parts attach partition app.loner for values from (13) to (14)',
    'create table app.rest partition of app.parts default;;insert into app.parts values (1, 1, 99)',
  ])('%s', async (statement) => {
    const { items = 'none', parts = 'none' } = await judge(statement);
    expect(['none', 'harmless']).toContain(items);
    expect(['none', 'harmless']).toContain(parts);
  });

  test('of many partitions, which are not noted one by one, any that was rewritten is a reset', async () => {
    expect(await judge('vacuum full app.p1', 0)).toEqual({ parts: 'partition_changed' });
    const another = 'create table app.p15 partition of app.parts for values from (15) to (16)';
    expect(await judge(another, 0)).toEqual({ parts: 'harmless' });
  });
});

describe('a resource with fields', () => {
  const shop = (fields: string, key = 'id', more = '') =>
    parseCatalog(
      `
catalog: forms
resources:
  deals: { table: app.deals, event: deal, key: [${key}], account: account_id, ${more} fields: { no: ${key}, ${fields} } }
`,
      'catalog.yaml',
    ).resources;

  /** What the adapted catalog finds of a table that the earlier one knew. */
  async function adapt(before: ReturnType<typeof shop>, statement: string, after: ReturnType<typeof shop>) {
    const [former, present] = [before[0], after[0]];
    const known = (await readTableFacts(db, before, 'forms')).get('deals');
    if (former === undefined || present === undefined || known === undefined) throw new Error('no table');
    const form = toTableForm(former, known);
    await db.query(statement);
    const facts = (await readTableFacts(db, after, 'forms')).get('deals');
    if (facts === undefined) throw new Error('no table');
    const change = await classifyFormChange(db, form, present, facts);
    return change.kind === 'reset' ? change.reason : change.kind;
  }

  beforeAll(async () => {
    await db.query(`
      create table app.deals (id bigint primary key, account_id text not null, state int, note text, data jsonb);
      insert into app.deals values (1, 'acme', 1, 'n', '{}')`);
  });

  const mapped = (column: string) => `status: { column: ${column}, map: { 0: draft } }`;
  const where = (column: string) => `where: { ${column}: { ne: 9 } },`;

  test('columns that are renamed, with the catalog, are the same', async () => {
    const before = shop(mapped('state'), 'id', where('state'));
    const rename = `alter table app.deals rename column state to code; alter table app.deals rename column id to deal_no;`;
    const after = shop(mapped('code'), 'deal_no', where('code'));
    expect(await adapt(before, rename, after)).toBe('harmless');
    expect(await adapt(after, 'alter table app.deals add column more text default $$x$$', after)).toBe(
      'harmless',
    );
    expect(await adapt(after, 'alter table app.deals rename column note to memo', after)).toBe('none');
  });

  test.each([
    ['another column', mapped('code'), mapped('deal_no')],
    ['other values', mapped('code'), 'status: { column: code, map: { 0: open } }'],
    ['another name', mapped('code'), mapped('code').replace('status', 'state')],
    ['another order', `a: memo, ${mapped('code')}`, `${mapped('code')}, a: memo`],
    ['a constant', 'a: { value: 1 }', 'a: { value: 2 }'],
    ['a field more', 'a: memo', 'a: memo, b: memo'],
    ['a path', 'a: { column: data, path: [x] }', 'a: { column: data, path: [y] }'],
  ])('%s is a change of what customers see', async (_, before, after) => {
    expect(await adapt(shop(before, 'deal_no'), 'select', shop(after, 'deal_no'))).toBe('columns_changed');
  });

  test('a published column of another type is a change too', async () => {
    const same = shop(mapped('code'), 'deal_no');
    expect(await adapt(same, 'alter table app.deals alter column code type bigint', same)).toBe(
      'table_rewritten',
    );
  });
});

describe('versions of the types that a table is made of', () => {
  const versionsOf = async () => (await facts()).get('items')?.typeVersions ?? [];
  /** Before the statement, behind it as facts have them, and behind it by the types alone. */
  const around = async (sql: string) => {
    const before = await versionsOf();
    await db.query('begin');
    try {
      await db.query(sql);
      const oids = before.map(({ oid }) => oid);
      return { before, after: await versionsOf(), present: await readTypeVersions(db, oids) };
    } finally {
      await db.query('rollback');
    }
  };

  test.each([
    "alter type app.mood rename value 'sad' to 'blue'",
    "alter type app.mood add value 'elated'",
    'alter type app.mood rename to temper',
    'alter type app.inner_pair rename attribute x to z',
    'alter type app.pair rename to couple',
    'alter domain app.label rename to tag',
    'alter type app.inner_pair set schema public',
    'alter schema app rename to app_2',
  ])('%s gives another one', async (sql) => {
    const { before, present } = await around(sql);
    expect(before.length).toBeGreaterThan(3);
    expect(present.map(({ oid }) => oid)).toEqual(before.map(({ oid }) => oid));
    expect(present).not.toEqual(before);
  });

  test.each([
    "insert into app.items values (2, 'acme')",
    'create type app.other as (a int)',
    'alter table app.items rename column name to title',
  ])('%s gives the same', async (sql) => {
    const { before, after, present } = await around(sql);
    expect(present).toEqual(before);
    expect(after).toEqual(before);
  });
});
