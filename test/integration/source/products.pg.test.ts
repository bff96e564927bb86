import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { prepareSource } from '../../../deploy/cli/prepare-source.ts';
import { CRONPING, DOCUMINT, FLAGBIT, WEBHOOKVAULT } from '../../../deploy/samples/products.ts';
import type { SampleProduct } from '../../../deploy/samples/sample-plan.ts';
import { LEDGER_DDL } from '../../../shared/bulk/ledger.ts';
import { checkCatalog } from '../../../shared/catalog/check-catalog.ts';
import { loadCatalog } from '../../../shared/catalog/load-catalog.ts';
import type { Resource } from '../../../shared/domain/catalog.ts';
import { quoteTable } from '../../../shared/postgres/quote.ts';
import { ADMIN_KEY, openTestApi } from '../../support/api-server.ts';
import { createDatabase, type TestDatabase } from '../../support/stack.ts';

let database: TestDatabase;
let db: pg.Client;

beforeAll(async () => {
  database = await createDatabase('product');
  db = new pg.Client({ connectionString: database.url });
  await db.connect();
});
afterAll(async () => {
  await db.end();
  await database.drop();
});

async function one<Row extends pg.QueryResultRow>(sql: string): Promise<Row> {
  const { rows } = await db.query<Row>(sql);
  if (rows[0] === undefined) throw new Error(`no row: ${sql}`);
  return rows[0];
}

/** Of the rows' texts, so it changes with any digit of any value. */
async function fingerprint(resources: readonly Resource[]): Promise<string> {
  await db.query(
    "SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET bytea_output = 'hex'; SET IntervalStyle = 'postgres'",
  );
  const parts = resources.map(
    ({ table }) =>
      `(SELECT md5(string_agg(t::text, E'\\n' ORDER BY t::text COLLATE "C")) FROM ${quoteTable(table)} t)`,
  );
  const { md5 } = await one<{ md5: string }>(`SELECT md5(concat_ws(' ', ${parts.join(', ')})) AS md5`);
  return md5;
}

/** Whoever changes a generator changes the figures that were measured with it. */
const GENERATED: readonly (readonly [name: string, product: SampleProduct, fingerprint: string])[] = [
  ['cronping', CRONPING, '3eb0dd4af94c854d92dee70eca67a943'],
  ['flagbit', FLAGBIT, '943155d03093e7e786e1624236ee267c'],
  ['webhookvault', WEBHOOKVAULT, 'fec75120640d9c34525bdefb95e1281a'],
];

describe.each(GENERATED)('%s', (_name, product, golden) => {
  const drop = () => db.query(`DROP SCHEMA IF EXISTS ${product.name} CASCADE`);

  test('the same options give the same data, whatever the session is set to', async () => {
    const { resources } = await loadCatalog(product.catalog);
    const { counts, accounts } = await product.generate(db, { rows: 500 });
    expect(accounts[0]).toBe('acc_001');
    for (const { name, table } of resources) {
      const { count } = await one<{ count: number }>(`SELECT count(*)::int FROM ${quoteTable(table)}`);
      expect([name, count]).toEqual([name, counts[name]]);
    }
    expect(await fingerprint(resources)).toBe(golden);
    await drop();
    await db.query(
      "SET TimeZone = 'America/St_Johns'; SET DateStyle = 'German'; SET extra_float_digits = 0; SET IntervalStyle = 'iso_8601'",
    );
    await product.generate(db, { rows: 500 });
    expect(await fingerprint(resources)).toBe(golden);
    await drop();
    await product.generate(db, { rows: 500, seed: 2 });
    expect(await fingerprint(resources)).not.toBe(golden);
    await expect(product.generate(db, { rows: 10 })).rejects.toThrow(/holds rows already/);
  });

  test('the main account has its share, also of no rows at all', async () => {
    await drop();
    await product.generate(db, { rows: 0, accounts: 1 });
    expect(await one(`SELECT count(*)::int FROM ${tableOf(product)}`)).toEqual({ count: 0 });
    await drop();
    await product.generate(db, { rows: 2_000, accounts: 3, mainAccountShare: 0.75 });
    const { rows } = await db.query<{ account_id: string; count: number }>(
      `SELECT account_id, count(*)::int FROM ${tableOf(product)} GROUP BY 1 ORDER BY 1`,
    );
    expect(rows.map(({ account_id }) => account_id)).toEqual(['acc_001', 'acc_002', 'acc_003']);
    expect(rows[0]?.count).toBeGreaterThan(1_350);
    expect(rows[0]?.count).toBeLessThan(1_650);
  });

  test('its catalog and its schema go together once the source is prepared', async () => {
    const catalog = await loadCatalog(product.catalog);
    expect(catalog.name).toBe(product.name);
    const findings = await checkCatalog(db, catalog);
    expect(findings.map(({ code }) => code)).toEqual(catalog.resources.map(() => 'replica_identity'));
    await prepareSource(db, catalog, { publication: product.name });
    expect(await checkCatalog(db, catalog, { publication: product.name })).toEqual([]);
  });
});

function tableOf({ name, mainResource }: SampleProduct): string {
  return `${name}.${mainResource}`;
}

test('a live record never refers to a deleted one', async () => {
  const orphans = (child: string, parent: string, column: string) => `
    (SELECT count(*)::int FROM ${child} c JOIN ${parent} p ON p.id = c.${column}
      WHERE c.deleted_at IS NULL AND p.deleted_at IS NOT NULL) || '/' ||
    (SELECT (count(*) > 0)::text FROM ${child} WHERE deleted_at IS NOT NULL)`;
  const facts = await one(
    `SELECT ${orphans('cronping.monitors', 'cronping.status_pages', 'status_page_id')} AS monitors,
      ${orphans('flagbit.flags', 'flagbit.projects', 'project_id')} AS flags,
      ${orphans('webhookvault.endpoints', 'webhookvault.sources', 'source_id')} AS endpoints`,
  );
  expect(facts).toEqual({ monitors: '0/true', flags: '0/true', endpoints: '0/true' });
});

/** What the products' customers do to many records in one request, up to so many. */
const AT_ONCE: readonly (readonly [
  name: string,
  product: SampleProduct,
  cap: number,
  body: Record<string, unknown>,
  condition: string,
])[] = [
  ['DocuMint', DOCUMINT, 1_000, { operation: 'void' }, "status = 'void'"],
  ['CronPing', CRONPING, 500, { operation: 'pause' }, 'is_paused'],
  [
    'FlagBit',
    FLAGBIT,
    100,
    { operation: 'set_rollout', params: { rollout_percentage: '12.5' } },
    'rollout_percentage = 12.5',
  ],
  [
    'WebhookVault',
    WEBHOOKVAULT,
    50,
    { operation: 'configure', params: { retention_days: 77 } },
    'retention_days = 77',
  ],
];

test.each(AT_ONCE)(
  '%s changes its number of records in one request, and not one more',
  async (_name, product, cap, body, condition) => {
    await using api = await openTestApi({
      catalog: await loadCatalog(product.catalog),
      maxBodyBytes: 262_144,
    });
    await product.generate(api.pool, { rows: cap + 200, accounts: 1 });
    for (const statement of LEDGER_DDL) await api.pool.query(statement);
    const { json: account } = await api.call('POST', '/admin/accounts', {
      key: ADMIN_KEY,
      body: { name: product.name, source_id: 'acc_001' },
    });
    const { json: made } = await api.call('POST', `/admin/accounts/${account.id}/keys`, {
      key: ADMIN_KEY,
      body: {},
    });
    const { rows } = await api.pool.query<{ id: string }>(
      `select id::text from ${tableOf(product)} where deleted_at is null and (${condition}) is not true order by id limit $1`,
      [cap + 1],
    );
    const ids = rows.map(({ id }) => id);
    const changed = async () => {
      const sql = `select count(*)::int from ${tableOf(product)} where (${condition}) and id::text = any($1)`;
      const found = await api.pool.query<{ count: number }>(sql, [ids]);
      return found.rows[0]?.count;
    };
    const submit = (asked: readonly string[]) =>
      api.call('POST', '/bulk/operations', {
        key: made.key,
        body: { resource: product.mainResource, ...body, ids: asked },
      });
    expect(ids.length).toBe(cap + 1);
    expect((await submit(ids)).status).toBe(422);
    expect(await changed()).toBe(0);
    const answer = await submit(ids.slice(0, cap));
    expect(answer.status).toBe(200);
    expect(
      answer.json.results.map((item: { item_id: string; status: string }) => [item.item_id, item.status]),
    ).toEqual(ids.slice(0, cap).map((id) => [id, 'succeeded']));
    expect(await changed()).toBe(cap);
  },
);
