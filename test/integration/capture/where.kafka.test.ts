import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { seededRandom } from '../../../deploy/demo/random.ts';
import { catalogFingerprint } from '../../../shared/catalog/catalog-fingerprint.ts';
import { parseCatalog } from '../../../shared/catalog/load-catalog.ts';
import { type CaptureWorld, createCaptureWorld } from '../../support/capture-world.ts';
import type { ReadChange } from '../../support/change-reader.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';
import { waitFor } from '../../support/wait-for.ts';

const COLUMNS = `id int not null, account_id text not null, draft boolean not null, status text, title text, body text`;
const SCHEMA = `
  create schema app;
  create table app.whole (${COLUMNS}, primary key (id));
  alter table app.whole replica identity full;
  create table app.indexed (${COLUMNS}, primary key (id));
  alter table app.indexed alter status set not null;
  create unique index by_all on app.indexed (id, account_id, draft, status);
  alter table app.indexed replica identity using index by_all;
  create table app.parts (${COLUMNS}, primary key (id, status)) partition by list (status);
  create table app.parts_1 partition of app.parts for values in ('open', 'secret');
  create table app.parts_2 partition of app.parts default;
  alter table app.parts replica identity full;
  alter table app.parts_1 replica identity full;
  alter table app.parts_2 replica identity full;
`;
const TABLES = ['whole', 'indexed', 'parts'];
const WHERE = "{ draft: { eq: false }, or: [{ status: { ne: secret } }, { title: { prefix: 'ok' } }] }";
const catalogOf = (where: string) => `
catalog: filtered
resources:
${TABLES.map(
  (name) => `  ${name}:
    { table: app.${name}, event: ${name}_one, key: [${name === 'parts' ? 'id, status' : 'id'}], account: account_id,
      expose: [id, account_id, ${name === 'parts' ? 'status, ' : ''}title, body], where: ${where} }`,
).join('\n')}
`;
/** The same in SQL, by somebody else. */
const SQL = "not draft and (status <> 'secret' or starts_with(title, 'ok'))";

// Of the indexed table no column of the filter may be outside of the identity, so its title counts for nothing there.
const CATALOG = catalogOf(WHERE).replace(
  /(indexed_one.*\n.*)where: .* }/,
  '$1where: { draft: { eq: false }, status: { ne: secret } } }',
);

/** The same rows each time, so that each table has every kind of change. */
const SEED = 2026;

let world: CaptureWorld;
beforeAll(async () => {
  world = await createCaptureWorld({ schemaSql: SCHEMA, catalog: CATALOG });
});
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
});

/** What a subscriber of a table has in the end: body and title, by key and account. */
function replicaOf(changes: readonly ReadChange[]): Map<string, string> {
  const records = new Map<string, Record<string, string | null>>();
  for (const { op, before, after, unchanged, account } of changes) {
    const row = after ?? before ?? {};
    const key = `${account}/${row.id}/${row.status ?? ''}`;
    if (op === 'truncate') throw new Error('the feed was reset');
    if (op === 'insert' && records.has(key)) throw new Error(`${key} was created twice`);
    if (op !== 'insert' && !records.has(key)) throw new Error(`${key} has a ${op} and was never there`);
    const had = records.get(key);
    if (after === null) records.delete(key);
    else
      records.set(key, {
        ...after,
        ...Object.fromEntries(unchanged.map((name) => [name, had?.[name] ?? null])),
      });
  }
  return new Map([...records].map(([key, { title, body }]) => [key, `${title} ${body}`]));
}

test('a subscriber has exactly the rows that leave, whatever comes to fit the filter and no longer fits', async () => {
  const { pool } = world;
  await world.start();
  const random = seededRandom(SEED);
  const pick = <T>(...values: T[]) => values[Math.floor(random() * values.length)] as T;
  // Longer than what stays in the row, so that PostgreSQL does not send it again.
  const body = (id: number, isKept: boolean) =>
    `${isKept ? 'kept back' : 'shown'} ${id} ${Array.from({ length: 300 }, () => random().toString(36)).join('')}`;
  for (let step = 0; step < 120; step += 1) {
    const id = 1 + Math.floor(random() * 12);
    const status = pick('open', 'secret', 'closed');
    const draft = pick(true, false, false);
    const account = pick('acme', 'acme', 'other');
    const title = pick('ok', 'ok then', 'no', 'okay');
    for (const name of TABLES) {
      const doesLeave = !draft && (status !== 'secret' || (name !== 'indexed' && title.startsWith('ok')));
      const sql = {
        insert: `insert into app.${name} values ($1, $2, $3, $4, $5, $6) on conflict do nothing`,
        change: `update app.${name} set account_id = $2, draft = $3, status = $4, title = $5 where id = $1 and $6::text is not null`,
        flip: `update app.${name} set draft = $3 where id = $1 and coalesce($2, $4, $5, $6) is not null`,
        remove: `delete from app.${name} where id = $1 and coalesce($2, $4, $5, $6) is not null and $3::boolean is not null`,
      }[pick('insert', 'insert', 'change', 'change', 'flip', 'remove')];
      // A record of a partitioned table has another key in another status, which others may have.
      await pool.query(sql, [id, account, draft, status, title, body(id, !doesLeave)]).catch((error) => {
        if (error.code !== '23505') throw error;
      });
    }
  }
  for (const name of TABLES) {
    await pool.query(`insert into app.${name} values (1000, 'last', false, 'open', 'ok', 'the end')`);
  }
  await waitFor(
    'the last rows',
    () => world.reader.changes.filter(({ account }) => account === 'last').length === 3,
  );
  for (const name of TABLES) {
    const changes = world.reader.changes.filter(({ resource }) => resource === name);
    const condition = name === 'indexed' ? "not draft and status <> 'secret'" : SQL;
    const status = name === 'parts' ? 'status' : "''";
    const { rows } = await pool.query<{ key: string; text: string }>(
      `select account_id || '/' || id || '/' || ${status} as key, title || ' ' || body as text from app.${name} where ${condition}`,
    );
    const expected = new Map(rows.map(({ key, text }) => [key, text]));
    expect(replicaOf(changes)).toEqual(expected);
    // Of columns that only the filter knows nothing is told.
    expect(Object.keys(changes[0]?.after ?? {})).not.toContain('draft');
    expect(changes.some(({ op }) => op === 'delete')).toBe(true);
  }
});

test('another filter is told as a reset, since rows come and go by it that no change tells', async () => {
  await world.endAll();
  const said = () => world.reader.states.at(-1)?.catalog;
  const fingerprints = (text: string) =>
    parseCatalog(text, 'c.yaml').resources.map((resource) => ({
      resource: resource.name,
      fingerprint: catalogFingerprint(resource),
    }));
  /** States are read from another topic than changes. */
  const untilSaid = (text: string) => expect.poll(said).toEqual(fingerprints(text));
  await untilSaid(CATALOG);
  const adapted = join(temporaryDirectory(), 'catalog.yaml');
  const changed = CATALOG.replace(WHERE, '{ draft: { eq: false } }');
  await writeFile(adapted, changed);
  await world.start({ CATALOG: adapted });
  const resets = () => world.reader.changes.filter(({ op }) => op === 'truncate');
  await waitFor('the reset', () => resets().length > 0);
  expect(new Set(resets().map(({ resource }) => resource))).toEqual(new Set(['whole']));
  // For whoever reads the source by the other catalog.
  expect(fingerprints(changed)).not.toEqual(fingerprints(CATALOG));
  await untilSaid(changed);
});
