import fc from 'fast-check';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { compileRowFilter } from '../../../services/capture/changes/row-filter.ts';
import { checkWhere } from '../../../shared/catalog/check-where.ts';
import { whereSql } from '../../../shared/catalog/where-sql.ts';
import { parseFilter } from '../../../shared/domain/bulk-filter.ts';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import { quoteIdent } from '../../../shared/postgres/quote.ts';
import { rawTypes, TEXT_SESSION_OPTIONS } from '../../../shared/postgres/text-session.ts';
import { loadTypes } from '../../../shared/values/database-types.ts';
import { filterFamily, isOrdered } from '../../../shared/values/filter-values.ts';
import { resource } from '../../support/resource.ts';
import { createDatabase, type TestDatabase } from '../../support/stack.ts';

let database: TestDatabase;
let db: pg.Client;

/** Each type with values at its edges, as PostgreSQL reads them, and with values as a filter has them. */
const COLUMNS: Readonly<Record<string, { type: string; values: string[]; literals: string[] }>> = {
  yes: { type: 'boolean', values: ['t', 'f'], literals: ['true', 'false'] },
  small: { type: 'smallint', values: ['-32768', '0', '7', '32767'], literals: ['-1', '0', '7', '32767'] },
  whole: { type: 'integer', values: ['-2147483648', '9', '10', '100'], literals: ['9', '10', '-010', '99'] },
  wide: {
    type: 'bigint',
    values: ['9007199254740993', '9007199254740992', '-9223372036854775808'],
    literals: ['9007199254740993', '9007199254740992', '0'],
  },
  exact: {
    type: 'numeric',
    values: [
      '1.50',
      '1.5',
      '-0.001',
      '0',
      '1e30',
      '0.1234567890123456789',
      'NaN',
      'Infinity',
      '-Infinity',
      '00.10',
    ],
    literals: ['1.5', '1.500', '-0', '0.1', '1000000000000000000000000000000', '0.1234567890123456789'],
  },
  amount: {
    type: 'numeric(12,2)',
    values: ['12', '12.34', '-12.30'],
    literals: ['12.00', '12.345', '-12.3'],
  },
  note: {
    type: 'text',
    values: ['', 'a', 'A', 'ab ', 'Straße', 'a%b', '日本', '😀x', 'é', 'e\u0301', '\uffffz', 'a\\"b,{}'],
    literals: ['a', 'A', 'ab', 'ab ', 'Straße', 'a%', '日', '😀', 'é', '\uffff', 'a\\"b,{}'],
  },
  short: { type: 'varchar(4)', values: ['', 'draf', 'a '], literals: ['draf', 'draft', 'a', 'a '] },
  code: {
    type: 'char(4)',
    values: ['EUR', 'EUR ', 'E', ''],
    literals: ['EUR', 'EUR ', 'E', 'EURX', 'EURXY'],
  },
  mood: { type: 'filters.mood', values: ['sad', 'ok', 'very ok'], literals: ['sad', 'ok', 'very ok'] },
  state: { type: 'filters.state', values: ['draft', 'open'], literals: ['draft', 'open', 'op'] },
  uid: {
    type: 'uuid',
    values: ['A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '00000000-0000-0000-0000-000000000000'],
    literals: ['A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
  },
  day: {
    type: 'date',
    values: [
      '2026-01-31',
      '0001-01-01',
      '0044-03-15 BC',
      '12026-01-01',
      'infinity',
      '-infinity',
      '2024-02-29',
    ],
    literals: ['2026-01-31', '0001-01-01', '2024-02-29', '9999-12-31'],
  },
  local: {
    type: 'timestamp',
    values: [
      '2026-01-31 09:30:00',
      '2026-01-31 09:30:00.000001',
      '0044-03-15 01:02:03 BC',
      'infinity',
      '-infinity',
      '294276-12-31',
    ],
    literals: ['2026-01-31T09:30:00', '2026-01-31T09:30:00.000001', '1900-02-28T23:59:59.5'],
  },
  at: {
    type: 'timestamptz',
    values: [
      '2026-01-31 09:30:00+00',
      '2026-01-31 11:30:00+02',
      '2026-01-31 09:30:00.5Z',
      '0044-03-15 01:02:03+00 BC',
      'infinity',
      '-infinity',
    ],
    literals: ['2026-01-31T09:30:00Z', '2026-01-31T15:00:00+05:30', '2026-01-31T09:30:00.500000-00:30'],
  },
};

beforeAll(async () => {
  database = await createDatabase('row_filter');
  db = new pg.Client({ connectionString: database.url, options: TEXT_SESSION_OPTIONS, types: rawTypes });
  await db.connect();
  await db.query(`create schema filters;
    create type filters.mood as enum ('very ok', 'sad', 'ok');
    create domain filters.state as varchar(10) check (value <> '');
    create collation filters.any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    create type filters.pair as (a int, b int)`);
  const columns = Object.entries(COLUMNS).map(([name, { type }]) => `${quoteIdent(name)} ${type}`);
  await db.query(`create table filters.rows (id serial primary key, ${columns.join(', ')},
    folded text collate filters.any_case, pair filters.pair, ratio float8)`);
  const depth = Math.max(...Object.values(COLUMNS).map(({ values }) => values.length));
  const names = Object.keys(COLUMNS).map(quoteIdent).join(', ');
  for (let place = -1; place < depth; place += 1) {
    // Of each its values in turn, and nulls throughout.
    const row = Object.values(COLUMNS).map(({ values }, at) =>
      place < 0 || (place + at) % 5 === 4 ? null : values[place % values.length],
    );
    await db.query(
      `insert into filters.rows (${names}) values (${row.map((_, at) => `$${at + 1}`).join(', ')})`,
      row,
    );
    const shown = Object.values(COLUMNS).map(({ values }) => values[(place + depth) % values.length]);
    await db.query(
      `insert into filters.rows (${names}) values (${shown.map((_, at) => `$${at + 1}`).join(', ')})`,
      shown,
    );
  }
});
afterAll(async () => {
  await db.end();
  await database.drop();
});

const catalogOf = (where: Record<string, unknown>): Catalog => ({
  name: 'filters',
  resources: [resource('rows', { table: { schema: 'filters', name: 'rows' }, where: parseFilter(where) })],
});

test('PostgreSQL and the feed find the same rows by any filter that is let through', async () => {
  const types = await loadTypes(db);
  const { rows: described } = await db.query<{ name: string; oid: string; mod: string }>(
    `select attname as name, atttypid::text as oid, atttypmod::text as mod from pg_attribute
     where attrelid = 'filters.rows'::regclass and attnum > 0`,
  );
  const familyOf = (name: string) => {
    const column = described.find((one) => one.name === name);
    const family = filterFamily(types.valueType(Number(column?.oid), Number(column?.mod)).pgName);
    if (family === undefined) throw new Error(`${name} has no family`);
    return family;
  };
  const { rows } = await db.query<Record<string, string | null>>('select * from filters.rows');
  const condition = fc.constantFrom(...Object.entries(COLUMNS)).chain(([name, { literals }]) => {
    const family = familyOf(name);
    const value = fc.constantFrom(...literals);
    const isText = family === 'text' || family === 'padded';
    const by = fc.constantFrom('eq', 'ne', ...(isOrdered(family) ? ['gt', 'gte', 'lt', 'lte'] : []));
    return fc
      .oneof(
        fc.tuple(by, value),
        fc.tuple(fc.constant('in'), fc.array(value, { minLength: 1, maxLength: 3 })),
        fc.tuple(fc.constant('is_null'), fc.boolean()),
        ...(isText ? [fc.tuple(fc.constant('prefix'), value)] : []),
      )
      .map(([operator, operand]): Record<string, unknown> => ({ [name]: { [operator]: operand } }));
  });
  const filter = fc.oneof(
    condition,
    fc.array(condition, { minLength: 1, maxLength: 3 }).map((and) => ({ and })),
    fc
      .tuple(fc.array(condition, { minLength: 1, maxLength: 3 }), condition)
      .map(([or, and]) => ({ and: [{ or }, and] })),
  );
  let foundSome = 0;
  await fc.assert(
    fc.asyncProperty(filter, async (input) => {
      const catalog = catalogOf(input);
      const [{ where } = { where: undefined }] = catalog.resources;
      if (where === undefined) throw new Error('no filter');
      const values: string[] = [];
      const sql = whereSql({ where }, quoteIdent, (text) => `$${values.push(text)}`);
      const found = await db.query<{ id: string }>(
        `select id from filters.rows where ${sql} order by id`,
        values,
      );
      const matches = compileRowFilter(where, familyOf);
      const inFeed = rows.filter((row) => matches((name) => row[name])).map(({ id }) => id);
      expect(inFeed).toEqual(found.rows.map(({ id }) => id));
      if (inFeed.length > 0) foundSome += 1;
    }),
    { numRuns: 400 },
  );
  expect(foundSome).toBeGreaterThan(50);
  const usable = Object.fromEntries(
    Object.entries(COLUMNS).map(([name, { literals }]) => [name, { in: literals }]),
  );
  expect(await checkWhere(db, catalogOf(usable))).toEqual([]);
});

test.each([
  [{ ratio: { eq: 1 } }, 'ratio is double precision, which supports only is_null'],
  [{ folded: { eq: 'a' } }, 'folded has a nondeterministic collation'],
  [{ pair: { is_null: true } }, 'pair is filters.pair, which supports no condition'],
  [{ note: { gt: 'a' } }, 'note is text, which supports only eq'],
  [{ whole: { prefix: '1' } }, 'whole is integer; prefix is for text columns'],
  [{ small: { gt: 40_000 } }, 'out of range'],
  [{ mood: { eq: 'glad' } }, 'invalid input value for enum'],
  [{ day: { lt: 'today' } }, 'day: "today" must be a date'],
  [{ day: { lt: '2026-02-30' } }, 'out of range'],
  [{ local: { lt: '2026-01-01T00:00:00Z' } }, 'must be a date and time without a zone'],
  [{ at: { lt: '2026-01-01T00:00:00' } }, 'must be a timestamp with a zone'],
  [{ yes: { eq: 'maybe' } }, 'must be true or false'],
  [{ exact: { eq: 'NaN' } }, 'must be a number'],
])('%j is refused with its reason', async (where, reason) => {
  expect(await checkWhere(db, catalogOf(where))).toEqual([
    { code: 'where', resource: 'rows', message: expect.stringContaining(reason) },
  ]);
});
