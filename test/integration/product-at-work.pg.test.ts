import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { adviseIdentities } from '../../deploy/local/identity-advice.ts';
import { checkCatalog } from '../../shared/catalog/check-catalog.ts';
import { parseCatalog } from '../../shared/catalog/load-catalog.ts';
import { prepareSource, reviewPreparation } from '../../shared/catalog/prepare-source.ts';
import { tryPlannedIdentities, tryWrites } from '../../shared/catalog/try-writes.ts';
import type { Catalog } from '../../shared/domain/catalog.ts';
import { createDatabase, type TestDatabase } from '../support/stack.ts';
import { waitFor } from '../support/wait-for.ts';

let database: TestDatabase;
let db: pg.Client;
let major: number;

const BASE = 'id bigint primary key, account_id text not null, n int not null default 0';

/** Every kind of table that a catalog takes. */
const tables = (): Readonly<Record<string, string>> => ({
  plain: `create table shop.plain (${BASE})`,
  stored: `create table shop.stored (${BASE}, total int generated always as (n * 2) stored)`,
  indexed: `create table shop.indexed (${BASE}, total int generated always as (n * 2) stored, unique (account_id, id));
    create unique index on shop.indexed (id, account_id, total)`,
  ...(major >= 18
    ? { virtual: `create table shop.virtual (${BASE}, twice int generated always as (n * 2) virtual)` }
    : {}),
  parts: `create table shop.parts (id bigint, account_id text not null, n int not null default 0,
      total int generated always as (n * 2) stored, primary key (id, account_id)) partition by range (id);
    create table shop.parts_1 partition of shop.parts for values from (0) to (500);
    create table shop.parts_2 partition of shop.parts for values from (500) to (1000000)`,
  composite: `create table shop.composite (id bigint, line int default 1, account_id text not null, n int default 0,
      primary key (id, line))`,
  toasted: `create table shop.toasted (${BASE}, body text default repeat('x', 20000))`,
  typed: `create domain shop.positive as int check (value >= 0); create type shop.state as enum ('open', 'closed');
    create table shop.typed (${BASE}, d shop.positive default 1, s shop.state default 'open')`,
  counted: `create table shop.counted (id bigint generated always as identity primary key, account_id text not null,
      n int not null default 0, serial_no bigserial, total int generated always as (n * 2) stored)`,
  parents: `create table shop.parents (${BASE}); create table shop.children (id bigint primary key,
      parent_id bigint not null references shop.parents on delete cascade, account_id text not null, n int default 0)`,
  noted: `create table shop.noted (${BASE}); create table shop.notes (id bigserial, said text);
    create function shop.note() returns trigger language plpgsql as
      $$ begin insert into shop.notes (said) values (tg_op); return coalesce(new, old); end $$;
    create trigger note before insert or update or delete on shop.noted for each row execute function shop.note()`,
  nullable: `create table shop.nullable (id bigint primary key, account_id text, n int default 0)`,
  inherits: `create table shop.forebear (${BASE}); create table shop.inherits (like shop.forebear including all)
      inherits (shop.forebear)`,
});

const resource = (name: string) =>
  `  ${name}: { table: shop.${name}, event: e_${name}, key: [${name === 'composite' ? 'id, line' : name === 'parts' ? 'id, account_id' : 'id'}], account: account_id }`;

const catalogOf = (names: readonly string[]): Catalog =>
  parseCatalog(`catalog: shop\nresources:\n${names.map(resource).join('\n')}\n`, 'shop.yaml');

async function connect(): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  return client;
}

beforeAll(async () => {
  database = await createDatabase('product_at_work');
  db = await connect();
  const { rows } = await db.query<{ server_version_num: string }>('show server_version_num');
  major = Math.floor(Number(rows[0]?.server_version_num) / 10_000);
  await db.query('create schema shop');
  for (const sql of Object.values(tables())) await db.query(sql);
});

afterAll(async () => {
  await db?.end();
  await database?.drop();
});

/** The product at work on one table, until it is told to stop. A wait of two seconds for a lock is an error of it. */
async function work(name: string, signal: AbortSignal, onRound: () => void): Promise<number> {
  const client = await connect();
  const id = name === 'counted' ? '' : 'id, ';
  try {
    await client.query("set lock_timeout = '2s'");
    for (let round = 1; !signal.aborted; round += 1) {
      await client.query(
        `insert into shop.${name} (${id}account_id) values (${id === '' ? '' : `${round}, `}'acme')`,
      );
      await client.query(`update shop.${name} set n = n + 1 where account_id = 'acme'`);
      await client.query(`select from shop.${name}`);
      await client.query(`delete from shop.${name} where account_id = 'acme'`);
      onRound();
    }
  } finally {
    await client.end();
  }
  return 0;
}

test('the product notices nothing while its source is prepared, nor afterwards, on any kind of table', async () => {
  const names = Object.keys(tables());
  const catalog = catalogOf(names);
  const stop = new AbortController();
  let rounds = 0;
  const working = Promise.all(names.map((name) => work(name, stop.signal, () => (rounds += 1))));
  working.catch(() => undefined);
  await waitFor('the product to be at work', () => rounds > names.length);
  // A transaction that nothing of ours may wait for with everybody else behind.
  const long = await connect();
  await long.query("begin; insert into shop.plain (id, account_id) values (-1, 'other')");
  const prepared = prepareSource(db, catalog, { publication: 'feed' });
  const before = rounds;
  await waitFor('the product to go on meanwhile', () => rounds > before + 3 * names.length);
  await long.query('commit');
  await long.end();
  const statements = await prepared;
  const after = rounds;
  await waitFor('the product to go on afterwards', () => rounds > after + names.length);
  stop.abort();
  await working;
  expect(await checkCatalog(db, catalog, { publication: 'feed' })).toEqual([]);
  expect(await tryWrites(db, catalog)).toEqual({ refused: [], untried: [] });
  const full = statements
    .filter((each) => each.endsWith('FULL'))
    .map((each) => /\."(\w+)" R/.exec(each)?.[1]);
  for (const name of ['stored', 'virtual', 'indexed', 'parts', 'counted']) expect(full).not.toContain(name);
  const { rows } = await db.query(
    `select from pg_namespace where nspname like 'tandem_trial%' union all
     select from pg_publication where pubname like 'tandem_trial%'`,
  );
  expect(rows).toEqual([]);
});

test('a trial touches neither rows nor sequences, nor fires a trigger', async () => {
  const state = async () =>
    (
      await db.query(
        `select (select last_value from shop.counted_serial_no_seq)::text as serial,
           (select last_value from shop.counted_id_seq)::text as id, (select count(*) from shop.notes)::text as notes`,
      )
    ).rows;
  const before = await state();
  const catalog = catalogOf(Object.keys(tables()));
  expect(await tryPlannedIdentities(db, catalog, 'auto')).toEqual({ refused: [], untried: [] });
  await tryWrites(db, catalog);
  expect(await state()).toEqual(before);
});

test('an identity that breaks writes is seen by the check and by a trial, and mended', async () => {
  const catalog = catalogOf(['stored']);
  await db.query('alter table shop.stored replica identity full');
  const isRefused = major >= 18;
  const outcome = db.query("update shop.stored set n = 1 where account_id = 'acme'").then(
    () => false,
    () => true,
  );
  expect(await outcome).toBe(isRefused);
  expect((await tryWrites(db, catalog)).refused).toHaveLength(isRefused ? 1 : 0);
  expect((await checkCatalog(db, catalog)).map(({ code }) => code)).toEqual(
    isRefused ? ['replica_identity'] : [],
  );
  await prepareSource(db, catalog, { publication: 'feed' }, { identity: 'index' });
  await db.query("update shop.stored set n = 1 where account_id = 'acme'");
});

test('a table that can have no identity is refused by name, before anything is changed', async () => {
  await db.query(
    `create table shop.hopeless (id bigint primary key, account_id text, n int,
       total int generated always as (n * 2) stored)`,
  );
  const catalog = catalogOf(['plain', 'hopeless']);
  await expect(prepareSource(db, catalog, { publication: 'other' })).rejects.toThrow(
    /hopeless: .*make account_id NOT NULL/,
  );
  const { statements, blocking } = await reviewPreparation(db, catalog, { publication: 'other' }, 'auto');
  expect(blocking).toHaveLength(1);
  expect(statements).toEqual([expect.stringMatching(/^CREATE PUBLICATION/)]);
});

test('whole rows are logged where they are narrow, an index where they are wide; what the catalog says comes first', async () => {
  await db.query(`
    create table shop.measured_narrow (${BASE}, unique (account_id, id));
    create table shop.measured_wide (${BASE}, body text);
    alter table shop.measured_wide alter column body set storage external;
    create table shop.asked_wide (like shop.measured_wide including all);
    create table shop.declined_narrow (${BASE});
    create table shop.declined_full (${BASE});
    alter table shop.declined_full replica identity full;
    insert into shop.measured_narrow select g, 'a' from generate_series(1, 1000) g;
    insert into shop.measured_wide select g, 'a', 0, repeat('x', 20000) from generate_series(1, 20) g;
    insert into shop.asked_wide select * from shop.measured_wide`);
  const names = ['measured_narrow', 'measured_wide', 'asked_wide', 'declined_narrow', 'declined_full'];
  const said: Record<string, string> = {
    asked_wide: ', as_of: true',
    declined_narrow: ', as_of: false',
    declined_full: ', as_of: false',
  };
  const lines = names.map((name) => resource(name).replace(' }', `${said[name] ?? ''} }`));
  const catalog = parseCatalog(`catalog: shop\nresources:\n${lines.join('\n')}\n`, 'shop.yaml');
  const identities = async () =>
    (
      await db.query(
        'select relname, relreplident from pg_class where relname = any ($1) and relkind = $2 order by array_position($1, relname::text)',
        [names, 'r'],
      )
    ).rows.map(({ relreplident }) => relreplident);
  // As never analyzed, and as analyzed: a size alone says nothing of a table with many rows.
  await prepareSource(db, catalog, { publication: 'measured' });
  expect(await identities()).toEqual(['f', 'i', 'f', 'i', 'f']);
  await db.query('analyze shop.measured_narrow; analyze shop.measured_wide');
  for (const name of ['measured_narrow', 'measured_wide'])
    await db.query(`alter table shop.${name} replica identity default`);
  await prepareSource(db, catalog, { publication: 'measured' });
  expect(await identities()).toEqual(['f', 'i', 'f', 'i', 'f']);
  const advice = (await adviseIdentities(db, catalog, [])).join('\n');
  expect(advice).toContain('as_of is refused for measured_wide:');
  expect(advice).toContain('"measured_narrow" REPLICA IDENTITY USING INDEX');
});

test('a role that may only read is told what was not tried', async () => {
  await db.query(
    `create role reader_${process.pid}; grant usage on schema shop to reader_${process.pid};
     grant select on all tables in schema shop to reader_${process.pid}; set role reader_${process.pid}`,
  );
  try {
    expect(await tryWrites(db, catalogOf(['plain']))).toEqual({ refused: [], untried: ['shop.plain'] });
  } finally {
    await db.query(`reset role; drop owned by reader_${process.pid}; drop role reader_${process.pid}`);
  }
});
