import pg from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { planPreparation, prepareSource } from '../../../deploy/cli/prepare-source.ts';
import { checkCatalog } from '../../../shared/catalog/check-catalog.ts';
import { describeRowType } from '../../../shared/catalog/describe-table.ts';
import { parseCatalog } from '../../../shared/catalog/load-catalog.ts';
import type { Catalog, Resource } from '../../../shared/domain/catalog.ts';
import { quoteIdent } from '../../../shared/postgres/quote.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { openProductPool } from '../../support/product-pool.ts';
import { createDatabase, type TestDatabase, topicPrefix } from '../../support/stack.ts';

let database: TestDatabase;
let db: pg.Client;
/** Slots and roles belong to the whole server, so their names must be this run's own. */
const ownName = topicPrefix();

beforeAll(async () => {
  database = await createDatabase('catalog');
  db = new pg.Client({ connectionString: database.url });
  await db.connect();
});

afterAll(async () => {
  await db.end();
  await database.drop();
});

beforeEach(async () => {
  await db.query('DROP SCHEMA IF EXISTS shop CASCADE; DROP PUBLICATION IF EXISTS feed; CREATE SCHEMA shop');
});

function catalogOf(...tables: string[]): Catalog {
  const resources = tables.map(
    (table, index) =>
      `  r${index}: { table: '${table}', event: e${index}, key: [id], account: account_id, soft_delete: deleted_at }`,
  );
  return parseCatalog(`catalog: shop\nresources:\n${resources.join('\n')}\n`, 'shop.yaml');
}

function onlyResource(catalog: Catalog): Resource {
  const resource = catalog.resources[0];
  if (resource === undefined) throw new Error('the catalog is empty');
  return resource;
}

const COLUMNS = 'id bigint PRIMARY KEY, account_id text NOT NULL, deleted_at timestamptz';

async function findings(catalog: Catalog, client: pg.Client = db) {
  return (await checkCatalog(client, catalog)).map(({ resource, code }) => `${resource} ${code}`);
}

test('tables that can not be streamed are refused, each by its own reason', async () => {
  await db.query(`
    CREATE UNLOGGED TABLE shop.unlogged (${COLUMNS});
    CREATE TEMPORARY TABLE pending (${COLUMNS});
    CREATE TABLE shop.parent (${COLUMNS});
    CREATE TABLE shop.child () INHERITS (shop.parent);
    CREATE VIEW shop.seen AS SELECT * FROM shop.parent;
    CREATE TABLE shop.parts (${COLUMNS}) PARTITION BY RANGE (id);
    CREATE TABLE shop.part_1 PARTITION OF shop.parts FOR VALUES FROM (0) TO (10)`);
  const { rows } = await db.query<{ schema: string }>(
    'SELECT nspname AS schema FROM pg_namespace WHERE oid = pg_my_temp_schema()',
  );
  const names = [
    'shop.unlogged',
    `${rows[0]?.schema}.pending`,
    'shop.parent',
    'shop.seen',
    'shop.part_1',
    'shop.none',
  ];
  const found = (await findings(catalogOf(...names))).filter((line) => !line.endsWith(' replica_identity'));
  expect(found).toEqual([
    'r0 not_logged',
    'r1 not_logged',
    'r2 inherited_table',
    'r3 not_a_table',
    'r4 partition',
    'r5 missing_table',
  ]);
  await db.query('DROP TABLE pending');
});

test('only a key that holds at every moment, for every row, counts', async () => {
  await db.query(`
    CREATE TABLE shop.deferrable (id bigint PRIMARY KEY DEFERRABLE, account_id text, deleted_at timestamptz);
    CREATE TABLE shop.partial (id bigint NOT NULL, account_id text, deleted_at timestamptz);
    CREATE UNIQUE INDEX ON shop.partial (id) WHERE deleted_at IS NULL;
    CREATE TABLE shop.nullable (id bigint UNIQUE, account_id text, deleted_at timestamptz);
    CREATE TABLE shop.expressed (id text NOT NULL, account_id text, deleted_at timestamptz);
    CREATE UNIQUE INDEX ON shop.expressed (lower(id));
    CREATE TABLE shop.covering (id bigint NOT NULL, account_id text, deleted_at timestamptz);
    CREATE UNIQUE INDEX ON shop.covering (id) INCLUDE (account_id)`);
  const names = ['deferrable', 'partial', 'nullable', 'expressed', 'covering'];
  for (const name of names) await db.query(`ALTER TABLE shop.${name} REPLICA IDENTITY FULL`);
  const catalog = catalogOf(...names.map((name) => `shop.${name}`));
  expect(await findings(catalog)).toEqual(['r0 no_key', 'r1 no_key', 'r2 no_key', 'r3 no_key']);
});

test('columns are looked at through their domains, and a dropped one is gone', async () => {
  await db.query(`
    CREATE DOMAIN shop.moment AS timestamptz;
    CREATE DOMAIN shop.later AS shop.moment CHECK (VALUE > '2000-01-01');
    CREATE TABLE shop.orders (id bigint PRIMARY KEY, account_id text, deleted_at shop.later);
    CREATE TABLE shop.texts (id bigint PRIMARY KEY, account_id text, deleted_at text);
    ALTER TABLE shop.texts DROP COLUMN account_id;
    ALTER TABLE shop.orders REPLICA IDENTITY FULL;
    ALTER TABLE shop.texts REPLICA IDENTITY FULL`);
  expect(await findings(catalogOf('shop.orders', 'shop.texts'))).toEqual([
    'r1 missing_column',
    'r1 wrong_type',
  ]);
});

test('the sql of a finding puts it right', async () => {
  await db.query(`
    CREATE UNLOGGED TABLE shop.orders (id bigint, account_id text, deleted_at timestamptz NOT NULL DEFAULT now())`);
  const catalog = catalogOf('shop.orders');
  const before = await checkCatalog(db, catalog);
  expect(before.map(({ code }) => code)).toEqual(['not_logged', 'never_null', 'no_key', 'replica_identity']);
  for (const { sql } of before) for (const statement of sql?.split('; ') ?? []) await db.query(statement);
  expect(await checkCatalog(db, catalog)).toEqual([]);
});

test('names with dots, quotes, capitals and emoji are found and prepared', async () => {
  const table = `"Weird.""Schema".🧾`;
  await db.query(
    `DROP SCHEMA IF EXISTS "Weird.""Schema" CASCADE; CREATE SCHEMA "Weird.""Schema"; CREATE TABLE ${table} (${COLUMNS})`,
  );
  const catalog = catalogOf(table);
  await prepareSource(db, catalog, { publication: `Feed "1"` });
  expect(await planPreparation(db, catalog, { publication: `Feed "1"` })).toEqual([]);
  await db.query(`DROP PUBLICATION "Feed ""1"""`);
});

test('a prepared source needs nothing more, and says so', async () => {
  await db.query(`CREATE TABLE shop.orders (${COLUMNS}); CREATE TABLE shop.other (${COLUMNS})`);
  const catalog = catalogOf('shop.orders', 'shop.other');
  const names = { publication: 'feed', slot: ownName };
  const plan = await planPreparation(db, catalog, names);
  expect(plan).toEqual([
    'ALTER TABLE ONLY "shop"."orders" REPLICA IDENTITY FULL',
    'ALTER TABLE ONLY "shop"."other" REPLICA IDENTITY FULL',
    expect.stringMatching(/^CREATE PUBLICATION "feed" FOR TABLE "shop"."orders", "shop"."other" WITH/),
    `SELECT pg_create_logical_replication_slot('${ownName}', 'pgoutput')`,
  ]);
  expect(await prepareSource(db, catalog, names)).toEqual(plan);
  expect(await prepareSource(db, catalog, names)).toEqual([]);
  expect(await checkCatalog(db, catalog, { publication: 'feed' })).toEqual([]);
  const less = catalogOf('shop.orders');
  expect(await checkCatalog(db, less, { publication: 'feed' })).toEqual([]);
  expect(await prepareSource(db, less, names)).toEqual([
    'ALTER PUBLICATION "feed" SET TABLE "shop"."orders"',
  ]);
  expect(await checkCatalog(db, catalog, { publication: 'feed' })).toMatchObject([
    {
      code: 'publication',
      resource: 'r1',
      sql: 'ALTER PUBLICATION "feed" SET TABLE "shop"."orders", "shop"."other"',
    },
  ]);
});

test('a table joins a streamed publication only when no open transaction has written to it', async () => {
  await db.query(`CREATE TABLE shop.orders (${COLUMNS}); CREATE TABLE shop.other (${COLUMNS})`);
  const names = { publication: 'feed', slot: ownName };
  await prepareSource(db, catalogOf('shop.orders'), names);
  const both = catalogOf('shop.orders', 'shop.other');
  await db.query('ALTER TABLE shop.other REPLICA IDENTITY FULL');
  const writer = new pg.Client({ connectionString: database.url });
  await writer.connect();
  // Its change is in the WAL before the table is published, and its commit is not.
  await writer.query(`BEGIN; INSERT INTO shop.other (id, account_id) VALUES (1, 1)`);
  const limits = { lockTimeoutMs: 100, lockTries: 2 };
  await expect(prepareSource(db, both, names, { limits })).rejects.toThrow('stayed locked');
  await writer.query('COMMIT');
  await writer.end();
  expect(await prepareSource(db, both, names)).toEqual([
    `DO 'BEGIN LOCK TABLE "shop"."other" IN SHARE MODE; ALTER PUBLICATION "feed" SET TABLE "shop"."orders", "shop"."other"; END'`,
  ]);
});

test('a partitioned table is prepared with its leaves, and a new partition is found', async () => {
  await db.query(`
    CREATE TABLE shop.orders (${COLUMNS}) PARTITION BY RANGE (id);
    CREATE TABLE shop.orders_1 PARTITION OF shop.orders FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (id);
    CREATE TABLE shop.orders_1a PARTITION OF shop.orders_1 FOR VALUES FROM (0) TO (5)`);
  const catalog = catalogOf('shop.orders');
  expect((await prepareSource(db, catalog, { publication: 'feed' })).slice(0, 2)).toEqual([
    'ALTER TABLE ONLY "shop"."orders" REPLICA IDENTITY FULL',
    'ALTER TABLE ONLY "shop"."orders_1a" REPLICA IDENTITY FULL',
  ]);
  expect(await checkCatalog(db, catalog, { publication: 'feed' })).toEqual([]);
  await db.query('CREATE TABLE shop.orders_1b PARTITION OF shop.orders_1 FOR VALUES FROM (5) TO (10)');
  expect(await planPreparation(db, catalog, { publication: 'feed' })).toEqual([
    'ALTER TABLE ONLY "shop"."orders_1b" REPLICA IDENTITY FULL',
  ]);
});

test('a row filter, a column list and left-out operations in a publication are found', async () => {
  await db.query(`
    CREATE TABLE shop.orders (${COLUMNS}); CREATE TABLE shop.other (${COLUMNS});
    ALTER TABLE shop.orders REPLICA IDENTITY FULL; ALTER TABLE shop.other REPLICA IDENTITY FULL;
    CREATE PUBLICATION feed FOR TABLE shop.orders WHERE (id > 5), shop.other (id, account_id) WITH (publish = 'insert')`);
  const catalog = catalogOf('shop.orders', 'shop.other');
  expect(
    (await checkCatalog(db, catalog, { publication: 'feed' })).map(({ code, resource }) => [code, resource]),
  ).toEqual([
    ['publication', 'r0'],
    ['publication', 'r1'],
    ['publication', undefined],
  ]);
  await prepareSource(db, catalog, { publication: 'feed' });
  expect(await checkCatalog(db, catalog, { publication: 'feed' })).toEqual([]);
});

test('a publication for all tables is refused, never changed', async () => {
  await db.query(`CREATE TABLE shop.orders (${COLUMNS}); CREATE PUBLICATION feed FOR ALL TABLES`);
  await expect(prepareSource(db, catalogOf('shop.orders'), { publication: 'feed' })).rejects.toThrow(
    /for all tables/,
  );
});

test('what no preparation puts right is told, and nothing is changed', async () => {
  await db.query(`CREATE TABLE shop.orders (${COLUMNS})`);
  const promise = prepareSource(db, catalogOf('shop.orders', 'shop.none'), { publication: 'feed' });
  await expect(promise).rejects.toThrow(/r1: the table shop\.none does not exist/);
  expect(await findings(catalogOf('shop.orders'))).toEqual(['r0 replica_identity']);
});

test('a slot of another plugin is refused with the statement that drops it', async () => {
  await db.query(`CREATE TABLE shop.orders (${COLUMNS})`);
  const slot = `${ownName}_other`;
  await db.query(`SELECT pg_create_logical_replication_slot($1, 'test_decoding')`, [slot]).catch(async () => {
    // A server without that plugin has physical slots at least, which are as wrong.
    await db.query('SELECT pg_create_physical_replication_slot($1)', [slot]);
  });
  const promise = prepareSource(db, catalogOf('shop.orders'), { publication: 'feed', slot });
  await expect(promise).rejects.toThrow(new RegExp(`pg_drop_replication_slot\\('${slot}'\\)`));
  await db.query('SELECT pg_drop_replication_slot($1)', [slot]);
});

test('a table that stays locked ends in an error that says so, and what was done stays done', async () => {
  await db.query(`CREATE TABLE shop.free (${COLUMNS}); CREATE TABLE shop.locked (${COLUMNS})`);
  const other = new pg.Client({ connectionString: database.url });
  await other.connect();
  await other.query('BEGIN; LOCK TABLE shop.locked IN ROW EXCLUSIVE MODE');
  const catalog = catalogOf('shop.free', 'shop.locked');
  const limits = { lockTimeoutMs: 100, lockTries: 2, slotTimeoutMs: 100 };
  await expect(prepareSource(db, catalog, { publication: 'feed' }, { limits })).rejects.toThrow(
    /stayed locked \(2 attempts of 0\.1 s\).*\n.*"locked" REPLICA IDENTITY FULL;\n.*CREATE PUBLICATION/,
  );
  await other.end();
  expect(await findings(catalog)).toEqual(['r1 replica_identity']);
  expect(await prepareSource(db, catalog, { publication: 'feed' })).toHaveLength(2);
});

test('an open transaction that a new slot has to wait for is told, and no half slot is left', async () => {
  await db.query(`CREATE TABLE shop.orders (${COLUMNS})`);
  const names = { publication: 'feed', slot: `${ownName}_late` };
  const other = new pg.Client({ connectionString: database.url });
  await other.connect();
  await other.query('BEGIN; SELECT pg_current_xact_id()');
  const limits = { lockTimeoutMs: 100, lockTries: 2, slotTimeoutMs: 100 };
  await expect(prepareSource(db, catalogOf('shop.orders'), names, { limits })).rejects.toThrow(
    /no replication slot within 0\.1 s, because transactions that are open now .*\n.*pg_create_logical_replication_slot/,
  );
  await other.end();
  const { rows } = await db.query('SELECT FROM pg_replication_slots WHERE slot_name = $1', [names.slot]);
  expect(rows).toEqual([]);
});

test('two that prepare at the same moment both end well', async () => {
  await db.query(`CREATE TABLE shop.orders (${COLUMNS})`);
  const pool = openProductPool({ connectionString: database.url, max: 4 });
  const names = { publication: 'feed', slot: `${ownName}_twice` };
  const runs = Array.from({ length: 4 }, () => prepareSource(pool, catalogOf('shop.orders'), names));
  await Promise.all(runs);
  await pool.end();
  expect(await planPreparation(db, catalogOf('shop.orders'), names)).toEqual([]);
});

test('a role without rights is told what to run, and row security that hides rows is found', async () => {
  const role = quoteIdent(`${ownName}_reader`);
  await db.query(`
    CREATE TABLE shop.orders (${COLUMNS}); CREATE TABLE shop.guarded (${COLUMNS});
    ALTER TABLE shop.guarded ENABLE ROW LEVEL SECURITY;
    CREATE ROLE ${role} LOGIN PASSWORD 'reader'; GRANT USAGE ON SCHEMA shop TO ${role};
    GRANT SELECT ON shop.guarded TO ${role}`);
  await db.query(`SET ROLE ${role}`);
  try {
    const catalog = catalogOf('shop.orders', 'shop.guarded');
    expect((await findings(catalog)).filter((line) => !line.endsWith(' replica_identity'))).toEqual([
      'r0 missing_right',
      'r1 row_security',
    ]);
    await db.query('RESET ROLE');
    await db.query(`GRANT SELECT ON shop.orders TO ${role}`);
    await db.query(`SET ROLE ${role}`);
    const error = await prepareSource(db, catalogOf('shop.orders'), {
      publication: 'feed',
      slot: ownName,
    }).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(SetupError);
    expect((error as SetupError).findings[0]).toBe('ALTER TABLE ONLY "shop"."orders" REPLICA IDENTITY FULL;');
  } finally {
    await db.query('RESET ROLE');
    await db.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  }
});

test('a rowType has the visible columns in column order, also after columns were dropped and added', async () => {
  await db.query(`
    CREATE TABLE shop.orders (secret text, gone int, account_id text NOT NULL, id bigint PRIMARY KEY,
      total numeric(12,2), doubled numeric GENERATED ALWAYS AS (total * 2) STORED, deleted_at timestamptz);
    ALTER TABLE shop.orders DROP COLUMN gone; ALTER TABLE shop.orders ADD COLUMN gone text`);
  const resource = { ...onlyResource(catalogOf('shop.orders')), hide: ['secret'] };
  const types = {
    valueType: (oid: number, modifier: number) => ({ kind: 'string' as const, pgName: `${oid}/${modifier}` }),
  };
  const { columns } = await describeRowType(db, resource, types);
  expect(columns.map(({ name, type, isKey }) => [name, type.pgName, isKey])).toEqual([
    ['account_id', '25/-1', false],
    ['id', '20/-1', true],
    ['total', '1700/786438', false],
    ['deleted_at', '1184/-1', false],
    ['gone', '25/-1', false],
  ]);
  await db.query('DROP TABLE shop.orders');
  await expect(describeRowType(db, resource, types)).rejects.toThrow(SetupError);
});
