import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sourcePrepareCommand } from '../../../deploy/cli/commands/source-prepare.ts';
import { prepareSource } from '../../../deploy/cli/prepare-source.ts';
import { findMissingRights, grantsFor, type Purpose } from '../../../shared/bulk/role-rights.ts';
import { checkCatalog } from '../../../shared/catalog/check-catalog.ts';
import { parseCatalog } from '../../../shared/catalog/load-catalog.ts';
import { quoteIdent } from '../../../shared/postgres/quote.ts';
import { runCommand } from '../../support/run-command.ts';
import { createDatabase, type TestDatabase, topicPrefix } from '../../support/stack.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

let database: TestDatabase;
let owner: pg.Client;
/** Roles belong to the whole server. */
const ownName = topicPrefix();
const PURPOSES: readonly Purpose[] = ['read', 'stream', 'change'];
const roleFor = (purpose: Purpose) => `${ownName} ${purpose}`;

const CATALOG_TEXT = `catalog: shop
resources:
  orders:
    table: '"Shop A".orders'
    event: order
    key: [id]
    account: account_id
    soft_delete: deleted_at
    operations: { close: { set: { state: closed } }, rename: { set_from_params: [Title] }, remove: { soft: true } }
  lines:
    table: '"Shop A".lines'
    event: line
    key: [id]
    account: { via: order_id, to: orders }
    operations: { drop: { soft: false } }
  notes: { table: other.notes, event: note, key: [id], account: account_id }
`;
const CATALOG = parseCatalog(CATALOG_TEXT, 'shop.yaml');

beforeAll(async () => {
  database = await createDatabase('rights');
  owner = new pg.Client({ connectionString: database.url });
  await owner.connect();
  await owner.query(`
    create schema "Shop A"; create schema other;
    create table "Shop A".orders (id bigint primary key, account_id text not null, state text, "Title" text, deleted_at timestamptz);
    create table "Shop A".lines (id bigint primary key, order_id bigint not null references "Shop A".orders, deleted_at timestamptz);
    create table other.notes (id bigint primary key, account_id text not null)`);
  await prepareSource(owner, CATALOG, { publication: 'feed' });
  for (const purpose of PURPOSES) {
    await owner.query(`create role ${quoteIdent(roleFor(purpose))} login password 'least-rights'`);
    for (const grant of grantsFor(CATALOG, purpose, roleFor(purpose))) await owner.query(grant);
  }
});

afterAll(async () => {
  for (const purpose of PURPOSES) {
    const role = quoteIdent(roleFor(purpose));
    await owner.query(`drop owned by ${role}; drop role ${role}`);
  }
  await owner.end();
  await database.drop();
});

async function as<T>(purpose: Purpose, work: (db: pg.Client) => Promise<T>): Promise<T> {
  const url = new URL(database.url);
  url.username = encodeURIComponent(roleFor(purpose));
  url.password = 'least-rights';
  const client = new pg.Client({ connectionString: url.href });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

const missingOf = (role: Purpose, purpose: Purpose) =>
  as(role, (db) => findMissingRights(db, CATALOG, purpose));

test('a role with what is printed for its purpose lacks nothing, and can not do what others are for', async () => {
  for (const purpose of PURPOSES) {
    expect(await missingOf(purpose, purpose)).toEqual([]);
    expect(await as(purpose, (db) => checkCatalog(db, CATALOG, { publication: 'feed' }))).toEqual([]);
  }
  const others = [...(await missingOf('read', 'change')), ...(await missingOf('change', 'stream'))];
  expect(others.map(({ resource }) => resource)).toEqual(['orders', 'lines', undefined, undefined]);
});

const TABLE = '"Shop A".orders';
const RIGHTS: readonly (readonly [purpose: Purpose, revoke: (role: string) => string])[] = [
  ...PURPOSES.flatMap((purpose): [Purpose, (role: string) => string][] => [
    [purpose, (role) => `revoke usage on schema "Shop A" from ${role}`],
    [purpose, (role) => `revoke select on ${TABLE} from ${role}`],
  ]),
  ['stream', (role) => `alter role ${role} noreplication`],
  ['change', (role) => `revoke update (state) on ${TABLE} from ${role}`],
  ['change', (role) => `revoke update ("Title") on ${TABLE} from ${role}`],
  ['change', (role) => `revoke update (deleted_at) on ${TABLE} from ${role}`],
  ['change', (role) => `revoke update (id) on "Shop A".lines from ${role}`],
  ['change', (role) => `revoke delete on "Shop A".lines from ${role}`],
  ['change', (role) => `revoke usage on schema tandem from ${role}`],
  ['change', (role) => `revoke select on tandem.bulk_ledger from ${role}`],
  ['change', (role) => `revoke insert on tandem.bulk_ledger from ${role}`],
  ['change', (role) => `revoke delete on tandem.bulk_ledger from ${role}`],
];

test.each(RIGHTS.map(([purpose, revoke]) => [revoke('the role'), purpose, revoke] as const))(
  '%s: %s is told, with the statement that gives it back',
  async (_name, purpose, revoke) => {
    await owner.query(revoke(quoteIdent(roleFor(purpose))));
    const missing = await missingOf(purpose, purpose);
    expect(missing.length).toBeGreaterThan(0);
    if (purpose !== 'change' || missing.some(({ message }) => message.includes('read'))) {
      const codes = await as(purpose, (db) => checkCatalog(db, CATALOG));
      expect(codes.map(({ code }) => code).filter((code) => code !== 'missing_right')).toEqual([]);
    }
    for (const { sql } of missing) await owner.query(sql ?? '');
    expect(await missingOf(purpose, purpose)).toEqual([]);
  },
);

test('row security that hides rows from the reading role is told, with what lifts it', async () => {
  await owner.query(`alter table other.notes enable row level security`);
  const [finding, ...rest] = await as('read', (db) => checkCatalog(db, CATALOG));
  expect(rest).toEqual([]);
  expect(finding).toMatchObject({ code: 'row_security', resource: 'notes' });
  await owner.query(finding?.sql ?? '');
  expect(await as('read', (db) => checkCatalog(db, CATALOG))).toEqual([]);
  await owner.query(`alter table other.notes disable row level security`);
});

test('source prepare tells a refused resource by its exit code, unless it is allowed', async () => {
  const path = join(temporaryDirectory(), 'shop.yaml');
  await writeFile(path, CATALOG_TEXT);
  const env = { DATABASE_URL: database.url, CATALOG: path, PUBLICATION_NAME: 'feed', SLOT_NAME: ownName };
  const run = (...words: string[]) => runCommand(sourcePrepareCommand, words, { env, home: '' });
  await owner.query('alter table other.notes drop constraint notes_pkey');
  try {
    for (const [words, code] of [
      [[], 1],
      [['--allow-refused'], 0],
    ] as const) {
      const prepared = await run(...words);
      expect(prepared.lines.join('\n')).toMatch(/-- refused, and the others go on: .*notes/);
      expect(prepared.code).toBe(code);
    }
  } finally {
    await owner.query('alter table other.notes add primary key (id)');
    await owner.query('select pg_drop_replication_slot($1)', [ownName]);
  }
});

test('source prepare prints the grants, for one role or for three', async () => {
  const path = join(temporaryDirectory(), 'shop.yaml');
  await writeFile(path, CATALOG_TEXT);
  const env = { DATABASE_URL: database.url, CATALOG: path, PUBLICATION_NAME: 'feed', SLOT_NAME: ownName };
  const print = (...more: string[]) =>
    runCommand(sourcePrepareCommand, ['--print', ...more], { env, home: '' });
  expect((await print()).lines.join('\n')).toContain('--roles');
  const three = (await print('--roles', PURPOSES.map(roleFor).join(','))).lines.join('\n');
  for (const purpose of PURPOSES)
    for (const grant of grantsFor(CATALOG, purpose, roleFor(purpose))) expect(three).toContain(`${grant};`);
  const one = (await print('--roles', 'tandem')).lines.filter((line) =>
    line.startsWith('GRANT SELECT ON "Shop A"'),
  );
  expect(one).toEqual(['GRANT SELECT ON "Shop A"."orders", "Shop A"."lines" TO "tandem";']);
  await expect(print('--roles', 'a,b')).rejects.toThrow('one role, or three');
});
