import fc from 'fast-check';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { respellAccounts } from '../../../services/api/admin/account-respeller.ts';
import { readAccountTypes, spellAccount } from '../../../services/api/admin/account-spelling.ts';
import { createAccountSpellings } from '../../../services/capture/changes/captured-table.ts';
import { readAccountColumns } from '../../../shared/catalog/account-columns.ts';
import { checkCatalog } from '../../../shared/catalog/check-catalog.ts';
import { parseCatalog } from '../../../shared/catalog/load-catalog.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { type Log, silentLog } from '../../../shared/runtime/log.ts';
import { accountForm, accountText } from '../../../shared/values/account-form.ts';
import { loadTypes } from '../../../shared/values/database-types.ts';
import { ADMIN_KEY, openTestApi, type TestApi } from '../../support/api-server.ts';
import { openProductPool } from '../../support/product-pool.ts';

/** The account columns of the product, a table each. */
const COLUMNS: Readonly<Record<string, string>> = {
  of_uuid: 'uuid',
  of_citext: 'citext',
  of_char: 'char(10)',
  of_numeric: 'numeric',
  of_scaled: 'numeric(12,2)',
  of_int: 'integer',
  of_bigint: 'bigint',
  of_text: 'text',
  of_enum: 'app.plan',
  of_domain: 'app.tenant',
};
const REFUSED: Readonly<Record<string, string>> = {
  of_ci: 'text collate app.ci',
  of_jsonb: 'jsonb',
  of_interval: 'interval',
  of_float: 'float8',
};

const catalogOf = (tables: readonly string[]) =>
  parseCatalog(
    `catalog: probe\nresources:\n${tables
      .map((name) => `  ${name}: { table: app.${name}, event: ${name}, key: [id], account: account_id }\n`)
      .join('')}`,
    'catalog.yaml',
  );

let api: TestApi;
let db: pg.Pool;

beforeAll(async () => {
  api = await openTestApi();
  db = openProductPool({ connectionString: api.databaseUrl, max: 2 });
  const all = { ...COLUMNS, ...REFUSED };
  await db.query(`create schema app; create extension if not exists citext;
    create collation app.ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    create type app.plan as enum ('free', 'Free', '1.0'); create domain app.base as numeric(20,5);
    create domain app.tenant as app.base check (value > 0);
    ${Object.entries(all)
      .map(([name, type]) => `create table app.${name} (id int primary key, account_id ${type} not null);`)
      .join('\n')}`);
});
afterAll(async () => {
  await db?.end();
  await api?.[Symbol.asyncDispose]();
});

const digits = fc.stringMatching(/^-?0{0,2}[0-9]{1,6}(\.[0-9]{0,2}0{0,3})?$/);
const words = fc.oneof(
  fc.stringMatching(/^[aAbB]{1,3} {0,2}$/),
  fc.constantFrom('İ', 'i', 'I', 'ı', 'ß', 'ẞ', 'ss', 'Σ', 'σ', 'ς', 'é', 'É', 'é', '1.0', '1'),
);
const hex = fc
  .tuple(fc.constantFrom('a0eebc99', 'A0EEBC99', 'a0EEbc98'), fc.constantFrom('', '{'))
  .map(([head, brace]) => `${brace}${head}-9c0b-4ef8-bb6d-6bb9bd380a11${brace === '' ? '' : '}'}`);
const SPELLINGS: Readonly<Record<string, fc.Arbitrary<string>>> = {
  of_uuid: hex,
  of_citext: words,
  of_char: words,
  of_text: words,
  of_enum: fc.constantFrom('free', 'Free', '1.0'),
};

test.each(Object.keys(COLUMNS))(
  'two values of %s are equal to PostgreSQL exactly when capture and the api write them alike',
  async (table) => {
    const types = await loadTypes(db);
    const catalog = catalogOf([table]);
    const { rows: columns } = await db.query(
      `select atttypid, atttypmod from pg_attribute where attrelid = $1::regclass and attname = 'account_id'`,
      [`app.${table}`],
    );
    const form = accountForm(types.valueType(columns[0].atttypid, columns[0].atttypmod).pgName);
    const [column] = await readAccountTypes(db, catalog);
    expect(column).toMatchObject({ form, refusal: undefined });
    const spellings = createAccountSpellings(db);

    const samples = fc.sample(SPELLINGS[table] ?? digits, { numRuns: 24, seed: 7 });
    const values: { readonly id: number; readonly streamed: string; readonly given: string }[] = [];
    await db.query(`truncate app.${table}`);
    for (const [id, sample] of samples.entries()) {
      // Not every sample is a value of every type: a sign in a domain that has none, a fraction in an integer.
      const inserted = await db
        .query(
          `insert into app.${table} values ($1, $2) returning pg_catalog.concat(account_id) as printed`,
          [id, sample],
        )
        .catch(() => undefined);
      if (inserted === undefined) continue;
      const { printed } = inserted.rows[0] as { printed: string };
      if (accountText(form, printed) === undefined) await spellings.learn([printed]);
      const streamed = accountText(form, printed) ?? spellings.of(printed) ?? '';
      const given = column && (await spellAccount(db, [column], printed));
      if (given?.kind !== 'text') throw new Error(`${printed} is refused`);
      values.push({ id, streamed, given: given.text });
    }
    expect(values.length).toBeGreaterThan(5);
    for (const { streamed, given } of values) expect(given).toBe(streamed);
    const { rows: pairs } = await db.query<{ a: number; b: number; is_equal: boolean }>(
      `select x.id as a, y.id as b, x.account_id = y.account_id as is_equal
       from app.${table} x join app.${table} y on x.id < y.id`,
    );
    const textOf = new Map(values.map(({ id, streamed }) => [id, streamed]));
    for (const { a, b, is_equal } of pairs) {
      expect({ a, b, isSame: textOf.get(a) === textOf.get(b) }).toEqual({ a, b, isSame: is_equal });
    }
    // What stands for the account selects all of its rows, which is how exports find them.
    const { rows: missed } = await db.query(
      `select r.id from app.${table} r join unnest($1::int[], $2::text[]) as u (id, account) on u.id = r.id
       where not r.account_id = u.account::${column?.sqlType}`,
      [values.map(({ id }) => id), values.map(({ streamed }) => streamed)],
    );
    expect(missed).toEqual([]);
  },
);

test('columns whose equal values have no common text are refused by name', async () => {
  const findings = await checkCatalog(db, catalogOf([...Object.keys(REFUSED), ...Object.keys(COLUMNS)]));
  const refused = findings.filter(({ code }) => code === 'account_type');
  expect(refused.map(({ resource }) => resource)).toEqual(Object.keys(REFUSED));
  expect(refused[0]?.message).toContain('account_id (account) has a nondeterministic collation');
  expect(refused[1]?.message).toContain('account_id (account) is jsonb');
});

test.each([
  ['of_int', '078', '78'],
  ['of_numeric', '77.0', '77'],
  ['of_scaled', '77.005', '77.005'],
  ['of_char', 'umb  ', 'umb'],
  ['of_citext', 'INITECH', 'initech'],
  ['of_uuid', '{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
  ['of_char', 'longer than ten', 'longer than ten'],
])('an account of %s given as %s is %s', async (table, given, text) => {
  const types = await readAccountTypes(db, catalogOf([table]));
  expect(await spellAccount(db, types, given)).toEqual({ kind: 'text', text });
});

test.each([
  [['of_int'], 'acme', 'is not of the type of app.of_int.account_id (integer)'],
  [['of_int'], '99999999999', 'is not of the type of'],
  [['of_uuid'], 'a0eebc99', 'is not of the type of'],
  [['of_enum'], 'gold', 'is not of the type of app.of_enum.account_id (app.plan)'],
  [['of_text'], 'a\0b', 'is not of the type of'],
  [['of_char'], '   ', 'is empty'],
  [['of_text'], '*', 'stands for all accounts'],
  [['of_int', 'of_text'], '078', 'such as "78"'],
  [['of_text', 'of_int'], '078', 'such as "78"'],
  [['of_text', 'of_uuid'], 'acme', 'is not of the type of app.of_uuid.account_id (uuid)'],
] as const)('with %j the account %j is refused', async (tables, given, detail) => {
  const types = await readAccountTypes(db, catalogOf(tables));
  expect(await spellAccount(db, types, given)).toMatchObject({
    kind: 'refused',
    detail: expect.stringContaining(detail),
  });
});

test('one spelling that all columns have is one account', async () => {
  const types = await readAccountTypes(db, catalogOf(['of_int', 'of_text', 'of_numeric', 'of_bigint']));
  expect(await spellAccount(db, types, '78')).toEqual({ kind: 'text', text: '78' });
  expect((await readAccountColumns(db, catalogOf(['of_none', 'of_int']))).length).toBe(1);
});

test('accounts are made under their one text, of which there is one account', async () => {
  await db.query(
    `create schema documint; create table documint.invoices (id int primary key, account_id citext)`,
  );
  const make = (source_id: string) =>
    api.call('POST', '/admin/accounts', { key: ADMIN_KEY, body: { name: 'Initech', source_id } });
  const made = await make('INITECH');
  expect([made.status, made.json.source_id]).toEqual([201, 'initech']);
  const again = await make('IniTech');
  expect([again.status, again.json.code]).toEqual([409, 'conflict']);
  const refused = await make('*');
  expect([refused.status, refused.json.errors[0].pointer]).toEqual([422, '/source_id']);
});

test('accounts of an earlier version get their text, their subscribers are told, and a twin is refused', async () => {
  const catalog = catalogOf(['of_uuid', 'of_text']);
  const upper = 'B0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11';
  const uuids = catalogOf(['of_uuid']);
  await api.pool.query(
    `insert into accounts (id, name, source_id, recorded_from_lsn) values
       ('acct_old', 'old', $1, '0/10'), ('acct_twin', 'twin', $2, null), ('acct_first', 'first', $3, null)`,
    [upper, 'C0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', 'c0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
  );
  const readOnly = openProductPool({
    connectionString: api.databaseUrl,
    max: 1,
    options: '-c default_transaction_read_only=on',
  });
  const sent: unknown[] = [];
  const source = {
    query: async (text: string, values: unknown[]) => {
      if (text.includes('emit_message')) sent.push(values[1]);
      return readOnly.query(text, values);
    },
  } as unknown as Queryable;
  const said: string[] = [];
  const note = (event: string, { accountId }: { accountId?: unknown }) => said.push(`${event} ${accountId}`);
  const log = { ...silentLog, warn: note, error: note } as Log;
  try {
    // With a text column beside it the spelling is not certain, and nothing is changed.
    await respellAccounts({ pool: api.pool, source, catalog, log });
    expect(said).toContain('account.not_spelled acct_old');
    expect(sent).toEqual([]);
    await respellAccounts({ pool: api.pool, source, catalog: uuids, log });
  } finally {
    await readOnly.end();
  }
  expect(sent).toEqual([JSON.stringify({ account: upper.toLowerCase(), resources: ['of_uuid'] })]);
  expect(said).toContain('account.respelled acct_old');
  expect(said).toContain('account.spelled_twice acct_twin');
  const { rows } = await api.pool.query(
    `select id, source_id, recorded_from_lsn, respelled_from, twin_of from accounts where id in ('acct_old', 'acct_twin') order by id`,
  );
  expect(rows).toEqual([
    {
      id: 'acct_old',
      source_id: upper.toLowerCase(),
      recorded_from_lsn: null,
      respelled_from: null,
      twin_of: null,
    },
    {
      id: 'acct_twin',
      source_id: expect.stringMatching(/^C0/),
      recorded_from_lsn: null,
      respelled_from: null,
      twin_of: 'acct_first',
    },
  ]);
  const body = { resource: 'invoices', account_id: 'acct_twin' };
  const refused = await api.call('POST', '/exports', { key: ADMIN_KEY, body });
  expect([refused.status, refused.json.detail]).toEqual([409, expect.stringContaining('acct_first')]);
});
