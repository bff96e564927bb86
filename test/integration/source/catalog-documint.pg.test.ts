import { join } from 'node:path';
import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { prepareSource } from '../../../deploy/cli/prepare-source.ts';
import { generateDocumint } from '../../../deploy/samples/documint/generate-documint.ts';
import { checkCatalog } from '../../../shared/catalog/check-catalog.ts';
import { describeRowType } from '../../../shared/catalog/describe-table.ts';
import { loadCatalog } from '../../../shared/catalog/load-catalog.ts';
import { findResource } from '../../../shared/domain/catalog.ts';
import { quoteIdent } from '../../../shared/postgres/quote.ts';
import { rawTypes, TEXT_SESSION_OPTIONS } from '../../../shared/postgres/text-session.ts';
import { loadTypes } from '../../../shared/values/database-types.ts';
import { createRowJson, toWireTexts } from '../../../shared/values/json-text.ts';
import { createDatabase } from '../../support/stack.ts';

const CATALOG = join(import.meta.dirname, '../../../schemas/catalogs/documint.yaml');

async function connectToNewDatabase(): Promise<pg.Client> {
  const database = await createDatabase('documint');
  const db = new pg.Client({ connectionString: database.url });
  await db.connect();
  onTestFinished(async () => {
    await db.end();
    await database.drop();
  });
  return db;
}

async function one<Row extends pg.QueryResultRow>(db: pg.Client, sql: string): Promise<Row> {
  const { rows } = await db.query<Row>(sql);
  if (rows[0] === undefined) throw new Error(`no row: ${sql}`);
  return rows[0];
}

/** Of the rows' texts, so it changes with any digit of any value. */
async function fingerprint(db: pg.Client): Promise<string> {
  await db.query("SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET bytea_output = 'hex'");
  const part = (table: string) =>
    `(SELECT md5(string_agg(t::text, E'\\n' ORDER BY id)) FROM documint.${table} t)`;
  const { md5 } = await one<{ md5: string }>(
    db,
    `SELECT concat_ws(' ', ${['customers', 'invoices', 'line_items'].map(part).join(', ')}) AS md5`,
  );
  return md5;
}

test('the catalog and the schema go together once the source is prepared', async () => {
  const db = await connectToNewDatabase();
  await generateDocumint(db, { rows: 10 });
  const catalog = await loadCatalog(CATALOG);
  expect((await checkCatalog(db, catalog)).map(({ code }) => code)).toEqual(
    Array(3).fill('replica_identity'),
  );
  await prepareSource(db, catalog, { publication: 'feed' });
  expect(await checkCatalog(db, catalog, { publication: 'feed' })).toEqual([]);
});

test('the same options give the same data, whatever the session is set to', async () => {
  const first = await connectToNewDatabase();
  await generateDocumint(first, { rows: 1_000 });
  const second = await connectToNewDatabase();
  await second.query(
    "SET TimeZone = 'America/St_Johns'; SET DateStyle = 'German'; SET extra_float_digits = 0",
  );
  await generateDocumint(second, { rows: 1_000 });
  const third = await connectToNewDatabase();
  await generateDocumint(third, { rows: 1_000, seed: 2 });
  expect(await fingerprint(first)).toBe(GOLDEN_FINGERPRINT);
  expect(await fingerprint(second)).toBe(GOLDEN_FINGERPRINT);
  expect(await fingerprint(third)).not.toBe(GOLDEN_FINGERPRINT);
});

/** Whoever changes the generator changes the figures that were measured with it. */
const GOLDEN_FINGERPRINT =
  '8aa40b4f6e7e123c1a5291ec8ebff31e f211d8952d3d6ad27f1d5655db42ae59 482554e324672eade1163db5a2de9b4b';

test('a live record never refers to a deleted one, and every value of interest occurs', async () => {
  const db = await connectToNewDatabase();
  const made = await generateDocumint(db, { rows: 5_000, lineItemsPerInvoice: 1.5 });
  expect(made).toMatchObject({ customers: 250, invoices: 5_000, lineItems: 7_500 });
  const facts = await one(
    db,
    `SELECT
      (SELECT count(*)::int FROM documint.invoices i JOIN documint.customers c ON c.id = i.customer_id
        WHERE i.deleted_at IS NULL AND c.deleted_at IS NOT NULL) AS orphaned_invoices,
      (SELECT count(*)::int FROM documint.line_items l JOIN documint.invoices i ON i.id = l.invoice_id
        WHERE l.deleted_at IS NULL AND i.deleted_at IS NOT NULL) AS orphaned_lines,
      (SELECT count(*) > 0 FROM documint.invoices WHERE deleted_at IS NOT NULL) AS some_deleted,
      (SELECT count(*) > 0 FROM documint.invoices WHERE metadata IS NULL) AS some_sql_null,
      (SELECT count(*) > 0 FROM documint.invoices WHERE metadata = 'null') AS some_json_null,
      (SELECT count(*) > 0 FROM documint.invoices WHERE internal_notes IS NOT NULL) AS some_notes,
      (SELECT count(*) > 0 FROM documint.invoices WHERE octet_length(memo) > length(memo)) AS some_unicode,
      (SELECT count(DISTINCT status)::int FROM documint.invoices) AS statuses,
      (SELECT min(lines)::int FROM (SELECT count(*) AS lines FROM documint.line_items GROUP BY invoice_id) l) AS fewest_lines,
      (SELECT max(lines)::int FROM (SELECT count(*) AS lines FROM documint.line_items GROUP BY invoice_id) l) AS most_lines`,
  );
  expect(facts).toMatchObject({
    orphaned_invoices: 0,
    orphaned_lines: 0,
    some_deleted: true,
    some_sql_null: true,
    some_json_null: true,
    some_notes: true,
    some_unicode: true,
    statuses: 5,
    fewest_lines: 1,
    most_lines: 2,
  });
});

test('an invoice is a line of about 320 bytes, read through the session that exports use', async () => {
  const db = await connectToNewDatabase();
  await generateDocumint(db, { rows: 2_000 });
  const invoices = findResource(await loadCatalog(CATALOG), 'invoices');
  if (invoices === undefined) throw new Error('the catalog has no invoices');
  const raw = new pg.Client({
    host: db.host,
    port: db.port,
    user: db.user,
    password: db.password ?? '',
    database: db.database,
    options: TEXT_SESSION_OPTIONS,
    types: rawTypes,
  });
  await raw.connect();
  onTestFinished(() => raw.end());
  const rowType = await describeRowType(raw, invoices, await loadTypes(raw));
  expect(rowType.columns.map(({ name }) => name)).not.toContain('internal_notes');
  const columns = rowType.columns.map(({ name }) => quoteIdent(name)).join(', ');
  const { rows } = await raw.query<(string | null)[]>({
    text: `SELECT ${columns} FROM documint.invoices ORDER BY id`,
    rowMode: 'array',
  });
  const json = createRowJson(rowType);
  const lines = rows.map((row) => json.toJson(toWireTexts(rowType, row)));
  expect(lines[0]).toBe(FIRST_INVOICE);
  const bytes = lines.reduce((sum, line) => sum + Buffer.byteLength(line) + 1, 0) / lines.length;
  expect(bytes).toBeGreaterThan(310);
  expect(bytes).toBeLessThan(340);
});

const FIRST_INVOICE =
  '{"id":1,"account_id":"acc_001","customer_id":53,"status":"paid","currency":"GBP","tax":"1166.98",' +
  '"total":"17838.11","fx_rate":"1.205286","issued_on":"2023-01-01","memo":"Thank you for your business",' +
  '"metadata":{"po": "PO-813674"},"created_at":"2023-01-01T10:04:11.941396Z",' +
  '"updated_at":"2023-01-10T06:05:18.733713Z","deleted_at":null}';

test('the main account has its share, and with one account all of it', async () => {
  const db = await connectToNewDatabase();
  await generateDocumint(db, { rows: 4_000, accounts: 3, mainAccountShare: 0.75 });
  const { rows } = await db.query<{ account_id: string; count: number }>(
    'SELECT account_id, count(*)::int FROM documint.invoices GROUP BY 1 ORDER BY 1',
  );
  expect(rows.map(({ account_id }) => account_id)).toEqual(['acc_001', 'acc_002', 'acc_003']);
  expect(rows[0]?.count).toBeGreaterThan(2_800);
  expect(rows[0]?.count).toBeLessThan(3_200);
  const alone = await connectToNewDatabase();
  await generateDocumint(alone, { rows: 100, accounts: 1 });
  expect(
    await one(alone, "SELECT count(*)::int FROM documint.invoices WHERE account_id = 'acc_001'"),
  ).toEqual({
    count: 100,
  });
});

test('the product goes on inserting after the last made-up row, and its updates are dated', async () => {
  const db = await connectToNewDatabase();
  await generateDocumint(db, { rows: 50, accounts: 1 });
  const inserted = await one(
    db,
    `INSERT INTO documint.invoices (account_id, customer_id, currency, tax, total, issued_on)
     VALUES ('acc_001', 1, 'EUR', 0, 1, '2026-01-01') RETURNING id`,
  );
  expect(inserted).toEqual({ id: '51' });
  const updated = await one(
    db,
    "UPDATE documint.invoices SET memo = 'x' WHERE id = 1 RETURNING updated_at = now() AS is_dated",
  );
  expect(updated).toEqual({ is_dated: true });
});

test('no rows at all is a schema that works, and rows that exist are never touched', async () => {
  const db = await connectToNewDatabase();
  await generateDocumint(db, { rows: 0, accounts: 1 });
  expect(await one(db, 'SELECT count(*)::int FROM documint.invoices')).toEqual({ count: 0 });
  await expect(generateDocumint(db, { rows: 10 })).rejects.toThrow(/holds rows already/);
});
