import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { expect, test } from 'vitest';
import { catalogCheckCommand } from '../../deploy/cli/commands/catalog-check.ts';
import { sourcePrepareCommand } from '../../deploy/cli/commands/source-prepare.ts';
import { verifyCommand } from '../../deploy/cli/commands/verify.ts';
import type { SampleProduct } from '../../deploy/samples/sample-plan.ts';
import { takeExport } from '../support/export-files.ts';
import { runCommand } from '../support/run-command.ts';
import { differencesAfter, loadExport, pullFeed } from '../support/subscriber.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { openTestWorld } from '../support/test-world.ts';
import { waitFor } from '../support/wait-for.ts';

const COLUMNS = 'id text primary key, account_id text not null, body text';

/** Every kind of table, by whether it can be exported exactly. */
const FITTING: Readonly<Record<string, string>> = {
  plain: `create table kinds.plain (${COLUMNS})`,
  // Its order is a collation's, which takes texts for equal that are not.
  collated: `create collation kinds.blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    create table kinds.collated (id text collate kinds.blind primary key, account_id text not null, body text)`,
  unique_only: `create table kinds.unique_only (id text not null unique, account_id text not null, body text)`,
  inherits: `create table kinds.forebear (${COLUMNS});
    create table kinds.inherits (like kinds.forebear including all) inherits (kinds.forebear)`,
};
const REFUSED: Readonly<Record<string, readonly [sql: string, why: string]>> = {
  keyless: [
    'create table kinds.keyless (id text, account_id text not null, body text)',
    'no unique key at all',
  ],
  nullable_key: [
    'create table kinds.nullable_key (id text unique, account_id text not null, body text)',
    'SET NOT NULL',
  ],
  inherited: [
    `create table kinds.inherited (${COLUMNS}); create table kinds.heir () inherits (kinds.inherited)`,
    'other tables inherit from',
  ],
  foreign_rows: [
    `create foreign data wrapper elsewhere; create server elsewhere foreign data wrapper elsewhere;
     create foreign table kinds.foreign_rows (id text not null, account_id text not null, body text) server elsewhere`,
    'is a foreign table',
  ],
  unlogged: [`create unlogged table kinds.unlogged (${COLUMNS})`, 'SET LOGGED'],
  seen: ['create view kinds.seen as select * from kinds.plain', 'is a view'],
  gone: ['select', 'does not exist'],
};
/** Whose account leads through a refused one. */
const CHILD = `create table kinds.child (id text primary key, inherited_id text not null references kinds.inherited, body text)`;

function product(catalog: string): SampleProduct {
  const create: SampleProduct['create'] = async (db) => {
    const sql = [...Object.values(FITTING), ...Object.values(REFUSED).map(([each]) => each), CHILD];
    await db.query(`create schema kinds; ${sql.join('; ')}`);
  };
  return {
    name: 'kinds',
    catalog,
    mainResource: 'plain',
    create,
    isFilled: () => Promise.resolve(false),
    async generate(db) {
      await create(db);
      for (const name of [...Object.keys(FITTING), 'keyless', 'unlogged']) {
        await db.query(
          `insert into kinds.${name} select 'n' || n, 'acc_00' || 1 + n % 2, 'body' from generate_series(1, 20) n`,
        );
      }
      return { counts: {}, accounts: ['acc_001', 'acc_002'] };
    },
  };
}

test('tables that can not be exact are refused by name, and the others go on; a mended one comes back', async () => {
  await using cleanup = new AsyncDisposableStack();
  const catalog = join(temporaryDirectory(), 'kinds.yaml');
  const names = [...Object.keys(FITTING), ...Object.keys(REFUSED)];
  const lines = names.map(
    (name) =>
      `  ${name}: { table: kinds.${name}, event: e_${name}, key: [id], account: account_id, operations: { change: { set_from_params: [body] } } }`,
  );
  lines.push(
    '  child: { table: kinds.child, event: e_child, key: [id], account: { via: inherited_id, to: inherited } }',
  );
  await writeFile(catalog, `catalog: kinds\nresources:\n${lines.join('\n')}\n`);
  const refused: string[] = [];
  const world = cleanup.use(
    await openTestWorld({
      product: product(catalog),
      rows: 0,
      accounts: 2,
      services: { api: 1, extractor: 1, writer: 1, capture: 1, dispatcher: 1, bulk: 1 },
      onRefused: (line) => refused.push(line),
    }),
  );
  const context = { env: { ...world.env }, home: '' };
  const source = new pg.Client({ connectionString: world.sourceUrl });
  await source.connect();
  cleanup.defer(() => source.end());
  for (const [name, [, why]] of Object.entries(REFUSED)) {
    const line = refused.find((each) => each.startsWith(`${name}: `));
    expect(line).toContain(why);
  }
  expect(refused.find((line) => line.startsWith('child: '))).toContain('that of inherited, which is refused');
  expect(refused).toHaveLength(Object.keys(REFUSED).length + 1);

  const customer = await world.createCustomer('acc_001');
  type Feed = { set_aside: { resource: string; reason: string }[] };
  const setAside = async () =>
    (await customer.client.call<Feed>('GET', '/feed')).set_aside.map(({ resource }) => resource);
  const all = [...Object.keys(REFUSED), 'child'].sort();
  await waitFor('the refused ones to be told', async () => (await setAside()).length === all.length);
  expect((await setAside()).sort()).toEqual(all);
  for (const resource of [...Object.keys(REFUSED), 'child'])
    await expect(takeExport(customer, { resource })).rejects.toThrow('409');
  const change = (resource: string) =>
    customer.client.call<{ succeeded: number }>('POST', '/bulk/operations', {
      resource,
      operation: 'change',
      params: { body: 'by bulk' },
      ids: ['n2'],
    });
  expect(await change('plain')).toMatchObject({ succeeded: 1 });
  await expect(change('keyless')).rejects.toThrow('409');

  const fitting = Object.keys(FITTING);
  const { id } = await customer.client.call<{ id: string }>('POST', '/exports', { resources: fitting });
  const replica = await loadExport(world, customer, id);
  for (const name of fitting)
    await source.query(
      `update kinds.${name} set body = 'later' where id in ('n4', 'n6'); delete from kinds.${name} where id = 'n8'`,
    );
  let after = `after_export=${id}`;
  const only = {
    ...world,
    catalog: {
      ...world.catalog,
      resources: world.catalog.resources.filter(({ name }) => fitting.includes(name)),
    },
  };
  expect(
    await differencesAfter(only, customer, replica, async () => {
      after = await pullFeed(customer, after, replica);
    }),
  ).toEqual([]);

  const settings = { env: { ...world.env, TANDEM_URL: world.apiUrl }, home: temporaryDirectory() };
  const verified = await runCommand(verifyCommand, [], settings);
  expect(verified.lines.filter((line) => line.startsWith('not verified'))).toHaveLength(all.length);
  expect(verified.lines.filter((line) => line.startsWith('EQUAL'))).toHaveLength(1);
  expect(verified.code).toBe(0);

  const checked = await runCommand(catalogCheckCommand, [], context);
  expect(checked.code).toBe(1);
  await source.query('alter table kinds.unlogged set logged; alter table kinds.keyless add primary key (id)');
  const prepared = await runCommand(sourcePrepareCommand, [], context);
  expect(prepared.lines.filter((line) => line.startsWith('-- refused'))).toHaveLength(all.length - 2);
  await waitFor('the mended ones to come back', async () => (await setAside()).length === all.length - 2);
  const { files } = await takeExport(customer, { resources: ['unlogged', 'keyless'] });
  expect([...files.values()].map((rows) => rows.length)).toEqual([10, 10]);
  expect(await change('keyless')).toMatchObject({ succeeded: 1 });

  // Taken out of the publication while everything runs, or left in it for some rows: no export that silence follows.
  const { rows } = await source.query<{ name: string }>(
    'select quote_ident(pubname) as name from pg_publication',
  );
  const alterPublication = (what: string) => source.query(`alter publication ${rows[0]?.name} ${what}`);
  const resets = async () => {
    type Page = { data: { data: { reason?: string; resources?: string[] } }[] };
    const page = await customer.client.call<Page>('GET', '/events/search?type=feed.reset&limit=100');
    return page.data.filter(
      ({ data }) => data.reason === 'publication_changed' && data.resources?.includes('plain'),
    ).length;
  };
  for (const [count, what] of [
    'drop table kinds.plain',
    `add table kinds.plain where (id <> 'n1')`,
  ].entries()) {
    await alterPublication(what);
    for (const snapshot of ['single', 'chunked'])
      await expect(takeExport(customer, { resource: 'plain', snapshot })).rejects.toThrow(
        'not in the publication as a whole',
      );
    await waitFor('the reset', async () => (await resets()) > count);
  }
  const again = await runCommand(sourcePrepareCommand, [], context);
  expect(again.lines.join()).toContain('SHARE MODE');
  await waitFor('the reset', async () => (await resets()) > 2);
  expect((await takeExport(customer, { resource: 'plain' })).files.size).toBe(1);
});
