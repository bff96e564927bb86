import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { adviseIdentities } from '../../../deploy/cli/identity-advice.ts';
import { prepareSource, reviewPreparation } from '../../../deploy/cli/prepare-source.ts';
import { withSource } from '../../../deploy/cli/source-settings.ts';
import { CouldNotTellError } from '../../../deploy/cli/verify/verify-api.ts';
import { beginWithTables, openVerifySource } from '../../../deploy/cli/verify/verify-source.ts';
import { checkCatalog } from '../../../shared/catalog/check-catalog.ts';
import { parseCatalog } from '../../../shared/catalog/load-catalog.ts';
import { tryPlannedIdentities, tryWrites } from '../../../shared/catalog/try-writes.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { BASE, catalogYaml, productTables, resourceLine } from '../../support/product-tables.ts';
import { createDatabase, type TestDatabase } from '../../support/stack.ts';
import { waitFor } from '../../support/wait-for.ts';

let database: TestDatabase;
let db: pg.Client;
let major: number;

const catalogOf = (names: readonly string[]) => parseCatalog(catalogYaml(names), 'shop.yaml');

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
  for (const sql of Object.values(productTables(major))) await db.query(sql);
});

afterAll(async () => {
  await db?.end();
  await database?.drop();
});

/** Longer than a busy machine delays who waits; who waits for another's long transaction waits for longer. */
const IMPATIENCE = "set lock_timeout = '10s'";

/** The product at work on one table, until it is told to stop. A long wait for a lock is an error of it. */
async function work(name: string, signal: AbortSignal, onRound: () => void): Promise<number> {
  const client = await connect();
  const id = name === 'counted' ? '' : 'id, ';
  try {
    await client.query(IMPATIENCE);
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
  const names = Object.keys(productTables(major));
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
  const catalog = catalogOf(Object.keys(productTables(major)));
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
  const { statements, blocking, refused } = await reviewPreparation(
    db,
    catalog,
    { publication: 'other' },
    'auto',
  );
  expect({ blocking, refused: [...refused.keys()] }).toEqual({ blocking: [], refused: ['hopeless'] });
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
  const lines = names.map((name) => resourceLine(name).replace(' }', `${said[name] ?? ''} }`));
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

test('a command gives way to an ALTER TABLE, and says so', async () => {
  const product = await connect();
  await product.query(IMPATIENCE);
  const catalog = catalogOf(['plain']);
  const command = withSource(database.url, (source) =>
    source.query('select pg_sleep(30), * from shop.plain'),
  );
  const outcome = command.catch((error: unknown) => error);
  await db.query("insert into shop.plain (id, account_id) values (-2, 'acme')");
  const isHeld = async () => {
    const { rowCount } = await db.query(
      `select from pg_locks l join pg_stat_activity a using (pid)
       where a.application_name = 'tandem command' and l.relation = 'shop.plain'::regclass`,
    );
    return rowCount !== 0;
  };
  await waitFor('the table to be locked by the command', isHeld);
  await product.query("alter table shop.plain alter column account_id set default 'acme'");
  expect(await outcome).toBeInstanceOf(SetupError);
  expect(await outcome).toMatchObject({
    message: expect.stringMatching(/waits for shop\.plain.*run it again/),
  });

  // Nor does one wait for the table with everybody behind; it comes back for it.
  await product.query('begin; lock table shop.plain in access exclusive mode');
  const checked = withSource(database.url, (source) => checkCatalog(source, catalog));
  const given = { pending: true };
  checked.finally(() => (given.pending = false)).catch(() => undefined);
  await waitFor('the command to have given up a wait', async () => {
    const { rows } = await db.query<{ waits: boolean }>(
      `select exists (select from pg_stat_activity where application_name = 'tandem command' and state = 'idle'
         and now() - state_change > interval '50 ms') as waits`,
    );
    return rows[0]?.waits === true;
  });
  expect(given.pending).toBe(true);
  await product.query('commit');
  expect(await checked).toEqual([]);
  await product.end();
});

test('a comparison gives way, and its tables are locked ahead of its snapshot', async () => {
  const product = await connect();
  await product.query(IMPATIENCE);
  const tables = [{ schema: 'shop', name: 'plain' }];
  await using source = await openVerifySource(database.url);
  await product.query('begin; truncate shop.plain');
  const begun = beginWithTables(source.client, tables, new AbortController().signal);
  await waitFor('the comparison to wait', async () => {
    const { rowCount } = await db.query(
      "select from pg_locks l join pg_stat_activity a using (pid) where a.application_name = 'tandem verify' and not granted",
    );
    return rowCount !== 0;
  });
  await product.query("insert into shop.plain (id, account_id) values (-3, 'acme'); commit");
  await begun;
  const { rows } = await source.client.query('select id from shop.plain');
  expect(rows).toEqual([{ id: '-3' }]);
  await product.query('truncate shop.plain');
  const error = await source.client.query('select 1').catch((thrown: unknown) => thrown);
  expect(source.explain(error)).toBeInstanceOf(CouldNotTellError);
  await product.end();
});

test('an index that is made beside the writers waits for a transaction longer than for any lock', async () => {
  await db.query(`create table shop.late (${BASE})`);
  const long = await connect();
  await long.query("begin; insert into shop.late (id, account_id) values (1, 'acme')");
  const prepared = withSource(database.url, (source) =>
    prepareSource(source, catalogOf(['late']), { publication: 'late' }, { identity: 'index' }),
  );
  await waitFor('the index to have waited for longer than a lock is waited for', async () => {
    const { rowCount } = await db.query(
      `select from pg_stat_activity where application_name = 'tandem command' and query like 'CREATE UNIQUE INDEX%'
         and now() - query_start > interval '700 ms'`,
    );
    return rowCount !== 0;
  });
  await long.query('commit');
  await long.end();
  expect((await prepared).join()).toContain('CREATE UNIQUE INDEX CONCURRENTLY');
});
