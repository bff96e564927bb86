import { expect, test } from 'vitest';
import type { Resource } from '../domain/catalog.ts';
import type { PublicField } from '../domain/public-field.ts';
import { type CheckedServer, checkTable } from './check-table.ts';
import type { ColumnDescription, Relation, TableDescription } from './describe-table.ts';

const ORDERS: Resource = {
  name: 'orders',
  table: { schema: 'shop', name: 'orders' },
  event: 'order',
  key: ['id'],
  account: 'account_id',
  range: undefined,
  softDelete: undefined,
  hide: [],
  related: [],
  operations: {},
  syncLimit: 100,
};

const TEXT_OID = 25;
const TIMESTAMPTZ_OID = 1184;

const SERVER = { role: 'tandem', versionNumber: 180_004 };

function column(name: string, overrides: Partial<ColumnDescription> = {}): ColumnDescription {
  return {
    name,
    typeOid: TEXT_OID,
    typeModifier: -1,
    typeName: 'text',
    baseTypeOid: TEXT_OID,
    isNotNull: true,
    isGenerated: false,
    ...overrides,
  };
}

function relation(overrides: Partial<Relation> = {}): Relation {
  return {
    schema: 'shop',
    name: 'orders',
    kind: 'r',
    persistence: 'p',
    replicaIdentity: 'f',
    identityColumns: [],
    identityIndexes: [],
    ...overrides,
  };
}

function table(overrides: Partial<TableDescription> = {}): TableDescription {
  return {
    schema: 'shop',
    name: 'orders',
    kind: 'r',
    isPartition: false,
    hasChildren: false,
    isRowSecurityActive: false,
    canSelect: true,
    columns: [column('id'), column('account_id'), column('deleted_at', { isNotNull: false })],
    uniqueIndexes: [{ columns: ['id'], isPrimary: true }],
    invalidIndexes: [],
    relations: [relation()],
    ...overrides,
  };
}

const codes = (resource: Resource, description: TableDescription | undefined) =>
  checkTable(resource, description, SERVER).map(({ code }) => code);

test('a table that fits has no findings', () => {
  expect(checkTable(ORDERS, table(), SERVER)).toEqual([]);
});

test('a missing table and what is no table are told alone', () => {
  expect(codes(ORDERS, undefined)).toEqual(['missing_table']);
  expect(codes(ORDERS, table({ kind: 'v', columns: [] }))).toEqual(['not_a_table']);
});

test('a unique key of several columns counts in any order, and with nothing more in it', () => {
  const uniqueIndexes = [{ columns: ['account_id', 'id'], isPrimary: false }];
  expect(codes({ ...ORDERS, key: ['id', 'account_id'] }, table({ uniqueIndexes }))).toEqual([]);
  expect(codes(ORDERS, table({ uniqueIndexes }))).toEqual(['no_key']);
});

test('a unique key with a column that may be null is no key, and the remedy is only NOT NULL', () => {
  const columns = [column('id', { isNotNull: false }), column('account_id')];
  expect(checkTable(ORDERS, table({ columns }), SERVER)).toMatchObject([
    { code: 'no_key', sql: 'ALTER TABLE "shop"."orders" ALTER COLUMN "id" SET NOT NULL' },
  ]);
});

test('an identity by an index that carries key and account is enough, also with a soft delete', () => {
  const relations = [relation({ replicaIdentity: 'i', identityColumns: ['id', 'account_id'] })];
  const columns = [
    column('id'),
    column('account_id'),
    column('deleted_at', { isNotNull: false, typeOid: TIMESTAMPTZ_OID, baseTypeOid: TIMESTAMPTZ_OID }),
  ];
  const description = table({ relations, columns });
  expect(codes({ ...ORDERS, softDelete: 'deleted_at' }, description)).toEqual([]);
});

const sqlOf = (description: TableDescription, server: CheckedServer = SERVER) =>
  checkTable(ORDERS, description, server).map(({ sql }) => sql);

const PLAIN = relation({ replicaIdentity: 'd', identityColumns: ['id'] });
const WITH_TOTAL = [column('id'), column('account_id'), column('total', { isGenerated: true })];

test('where rows are wide an index is preferred to whole rows, and the narrowest one that has no generated column', () => {
  const identityIndexes = [
    { name: 'wide', columns: ['id', 'account_id', 'note'] },
    { name: 'generated', columns: ['id', 'account_id', 'total'] },
    { name: 'narrow', columns: ['account_id', 'id'] },
  ];
  const relations = [{ ...PLAIN, identityIndexes }];
  const use = 'ALTER TABLE ONLY "shop"."orders" REPLICA IDENTITY USING INDEX "narrow"';
  const wide = { ...SERVER, wish: 'rather_index' } as const;
  expect(sqlOf(table({ relations }), wide)).toEqual([use]);
  expect(sqlOf(table({ relations, columns: WITH_TOTAL }))).toEqual([use]);
  expect(sqlOf(table({ relations: [PLAIN] }), wide)).toEqual([expect.stringMatching(/^CREATE UNIQUE INDEX/)]);
  for (const wish of ['full', 'rather_full'] as const) {
    expect(sqlOf(table({ relations }), { ...SERVER, wish })).toEqual([
      'ALTER TABLE ONLY "shop"."orders" REPLICA IDENTITY FULL',
    ]);
  }
});

test('past moments that the catalog offers, and the table can not keep, are told', () => {
  const asked = { ...ORDERS, asOf: true };
  const relations = [relation({ replicaIdentity: 'i', identityColumns: ['id', 'account_id'] })];
  expect(
    checkTable(asked, table({ relations, columns: WITH_TOTAL }), { ...SERVER, wish: 'full' }),
  ).toMatchObject([{ code: 'as_of', message: expect.stringContaining('(total)') }]);
});

test('whole rows stay as they are until an index is asked for', () => {
  const relations = [relation({ identityColumns: ['id', 'account_id'] })];
  expect(sqlOf(table({ relations }))).toEqual([]);
  expect(sqlOf(table({ relations }), { ...SERVER, wish: 'rather_index' })).toEqual([]);
  expect(sqlOf(table({ relations }), { ...SERVER, wish: 'index' })).toEqual([
    expect.stringMatching(/^CREATE UNIQUE INDEX CONCURRENTLY .* USING INDEX/),
  ]);
});

test('a generated column never gets into an identity: an index is made, or the table is refused by name', () => {
  const made =
    /^CREATE UNIQUE INDEX CONCURRENTLY "(tandem_identity_\w+)" ON "shop"\."orders" \("id", "account_id"\); ALTER TABLE ONLY "shop"\."orders" REPLICA IDENTITY USING INDEX "\1"$/;
  for (const replicaIdentity of ['d', 'f']) {
    const identityColumns = replicaIdentity === 'f' ? ['id', 'account_id', 'total'] : ['id'];
    const relations = [relation({ replicaIdentity, identityColumns })];
    expect(sqlOf(table({ relations, columns: WITH_TOTAL }))).toEqual([expect.stringMatching(made)]);
  }
  const columns = [
    column('id'),
    column('account_id', { isNotNull: false }),
    column('total', { isGenerated: true }),
  ];
  expect(checkTable(ORDERS, table({ relations: [PLAIN], columns }), SERVER)).toEqual([
    {
      code: 'replica_identity',
      resource: 'orders',
      message: expect.stringContaining('make account_id NOT NULL'),
    },
  ]);
  // What an older server takes today is left until its upgrade, and never newly made.
  const old = { ...SERVER, versionNumber: 170_004 };
  const full = [relation({ identityColumns: ['id', 'account_id', 'total'] })];
  expect(sqlOf(table({ relations: full, columns: WITH_TOTAL }), old)).toEqual([]);
  expect(sqlOf(table({ relations: [PLAIN], columns: WITH_TOTAL }), old)).toEqual([
    expect.stringMatching(made),
  ]);
});

test('partitions get the index of their root, each its own', () => {
  const identityIndexes = [{ name: 'orders_pkey', columns: ['id', 'account_id'] }];
  const named = (name: string, kind = 'r') => ({
    ...relation({ name, kind, replicaIdentity: 'n' }),
    identityIndexes: identityIndexes.map((index) => ({ ...index, name: `${name}_pkey` })),
  });
  const relations = [named('orders', 'p'), named('orders_1')];
  expect(sqlOf(table({ kind: 'p', relations, columns: WITH_TOTAL }))).toEqual([
    'ALTER TABLE ONLY "shop"."orders" REPLICA IDENTITY USING INDEX "orders_pkey"',
    'ALTER TABLE ONLY "shop"."orders_1" REPLICA IDENTITY USING INDEX "orders_1_pkey"',
  ]);
});

test('once one partition is full, the table and all its partitions must be', () => {
  const enough = { replicaIdentity: 'd', identityColumns: ['id', 'account_id'] };
  const relations = [
    relation({ kind: 'p', ...enough }),
    relation({ name: 'orders_1' }),
    relation({ name: 'orders_2', ...enough }),
  ];
  const findings = checkTable(ORDERS, table({ kind: 'p', relations }), SERVER);
  expect(findings.map(({ sql }) => sql)).toEqual([
    'ALTER TABLE ONLY "shop"."orders" REPLICA IDENTITY FULL',
    'ALTER TABLE ONLY "shop"."orders_2" REPLICA IDENTITY FULL',
  ]);
});

test('columns that an operation sets or asks for must be there', () => {
  const operations = {
    pay: { set: { status: 'paid' }, skip_when: { state: 'x' } },
    note: { set_from_params: ['memo'] },
  };
  const findings = checkTable({ ...ORDERS, operations }, table(), SERVER);
  expect(findings.map(({ message }) => message)).toEqual([
    'shop.orders has no column status (operations.pay); it has id, account_id, deleted_at.',
    'shop.orders has no column state (operations.pay); it has id, account_id, deleted_at.',
    'shop.orders has no column memo (operations.note); it has id, account_id, deleted_at.',
  ]);
});

test('a moment must be a date or a timestamp, and a soft delete must be able to be null', () => {
  const resource = { ...ORDERS, range: 'account_id', softDelete: 'id' };
  expect(codes(resource, table())).toEqual(['wrong_type', 'wrong_type', 'never_null']);
});

test('fields name columns that are there, paths lead into documents, and maps are of plain values', () => {
  const columns = [
    column('id'),
    column('account_id'),
    column('data', { typeName: 'jsonb', baseTypeOid: 3802, equality: 'structure' }),
    column('tags', { typeName: 'text[]', equality: 'structure' }),
    column('total', { isGenerated: true }),
  ];
  const found = (field: PublicField) =>
    checkTable({ ...ORDERS, fields: [{ name: 'id', column: 'id' }, field] }, table({ columns }), SERVER)
      .filter(({ code }) => code !== 'no_key' && code !== 'replica_identity')
      .map(({ code, message }) => `${code}: ${message}`);
  expect(found({ name: 'city', column: 'data', path: ['city'], type: 'text' })).toEqual([]);
  expect(found({ name: 'city', column: 'tags', path: ['city'], type: 'text' })).toEqual([
    'wrong_type: tags (fields.city) is text[]; a path needs json or jsonb.',
  ]);
  expect(found({ name: 'kind', column: 'data', map: { a: 'b' } })).toEqual([
    'wrong_type: data (fields.kind) is jsonb; a map needs numbers, texts, an enum or boolean.',
  ]);
  expect(found({ name: 'x', column: 'gone' })[0]).toMatch(
    /^missing_column: shop.orders has no column gone \(fields\)/,
  );
  expect(found({ name: 'sum', column: 'total' })[0]).toMatch(/^generated_column: total \(fields\)/);
});
