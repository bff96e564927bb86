import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CaptureWorld, createCaptureWorld } from '../../support/capture-world.ts';
import { waitFor } from '../../support/wait-for.ts';

const SCHEMA = `
  create schema app;
  create table app.notes (id bigint primary key, account_id text not null, private text, body text);
  alter table app.notes replica identity full;
  create table app.deals (id bigint primary key, account_id text not null, private text, title text);
  alter table app.deals replica identity full;
`;

const catalog = (account: string, hidden: string) => `
catalog: renames
resources:
  notes: { table: app.notes, event: note, key: [id], account: ${account}, hide: [${hidden}] }
  deals: { table: app.deals, event: deal, key: [id], account: account_id, expose: [id, account_id, title] }
`;

let world: CaptureWorld;
let directory: string;

beforeAll(async () => {
  world = await createCaptureWorld({ schemaSql: SCHEMA, catalog: catalog('account_id', 'private') });
  directory = await mkdtemp(join(tmpdir(), 'tandem-renames-'));
});
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  if (directory !== undefined) await rm(directory, { recursive: true, force: true });
});

const run = (sql: string) => world.pool.query(sql);
/** Rows; that columns or types have changed is told besides. */
const changesOf = (name: string) =>
  world.reader.changes.filter(({ resource, op }) => resource === name && op !== 'truncate');
const texts = () => JSON.stringify(world.reader.changes.map(({ before, after }) => ({ before, after })));

test('under expose nothing else leaves, whatever is added or renamed while capture runs', async () => {
  const capture = await world.start();
  await run(`insert into app.deals values (1, 'acme', 'kept back', 'first')`);
  await run(`alter table app.deals add column more text default 'kept back'`);
  await run(`insert into app.deals values (2, 'acme', 'kept back', 'second')`);
  await run(`alter table app.deals rename column private to inner_life`);
  await run(`update app.deals set inner_life = 'kept back too', title = 'changed' where id = 2`);
  await waitFor('the changes', () => changesOf('deals').length === 3);
  expect(changesOf('deals').map(({ before, after }) => [before, after])).toEqual([
    [null, { id: '1', account_id: 'acme', title: 'first' }],
    [null, { id: '2', account_id: 'acme', title: 'second' }],
    [
      { id: '2', account_id: 'acme', title: 'second' },
      { id: '2', account_id: 'acme', title: 'changed' },
    ],
  ]);
  await capture.stop();
});

test('a hidden column never leaves under another name, and its rows get through once the catalog says it', async () => {
  const capture = world.spawn();
  await run(`insert into app.notes values (1, 'acme', 'kept back', 'first')`);
  await waitFor('the first row', () => changesOf('notes').length === 1);
  await run(`alter table app.notes add column more text`);
  await run(`insert into app.notes values (2, 'acme', 'kept back', 'second', 'm')`);
  await waitFor('the row with an added column', () => changesOf('notes').length === 2);

  await run(`alter table app.notes rename column private to inner_life`);
  await run(`insert into app.notes values (3, 'acme', 'kept back', 'third', 'm')`);
  await waitFor('the feed to wait for the catalog', () => capture.hasLogged('session.failed'));
  expect(JSON.stringify(capture.log)).toMatch(
    /lost the column private, .* and has the new column inner_life/,
  );
  await capture.kill();

  // What was written under the former names is still to be read when the catalog has the new ones.
  await run(`alter table app.notes rename column account_id to tenant`);
  await run(`insert into app.notes values (4, 'acme', 'kept back', 'fourth', 'm')`);
  const adapted = join(directory, 'catalog.yaml');
  await writeFile(adapted, catalog('tenant', 'inner_life'));
  await world.start({ CATALOG: adapted });
  await waitFor('the rows from before and after the rename', () => changesOf('notes').length === 4);
  expect(changesOf('notes').map(({ account, after }) => [account, after?.body])).toEqual([
    ['acme', 'first'],
    ['acme', 'second'],
    ['acme', 'third'],
    ['acme', 'fourth'],
  ]);
  expect(texts()).not.toContain('kept back');
});

test('a hidden column that is dropped holds up nothing', async () => {
  await run(`alter table app.notes drop column inner_life`);
  await run(`insert into app.notes values (5, 'acme', 'fifth', 'm')`);
  await waitFor('the row without it', () => changesOf('notes').length === 5);
  expect(changesOf('notes').at(-1)?.after).toMatchObject({ id: '5', body: 'fifth' });
});

test('values from before their composite type got an attribute are read, the new one as null', async () => {
  await run(`create type app.place as (x int, y text)`);
  await run(`alter table app.notes add column place app.place`);
  await world.endAll();
  await run(`insert into app.notes values (6, 'acme', 'sixth', 'm', row(1, 'a'))`);
  await run(`alter type app.place add attribute z int`);
  await writeFile(join(directory, 'catalog.yaml'), catalog('tenant', ''));
  await world.start({ CATALOG: join(directory, 'catalog.yaml') });
  await run(`insert into app.notes values (7, 'acme', 'seventh', 'm', row(1, 'a', 3))`);
  await waitFor('both rows', () => changesOf('notes').length === 7);
  expect(
    changesOf('notes')
      .slice(5)
      .map(({ after }) => JSON.parse(String(after?.place))),
  ).toEqual([
    { x: 1, y: 'a', z: null },
    { x: 1, y: 'a', z: 3 },
  ]);
});
