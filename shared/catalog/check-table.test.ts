import { expect, test } from 'vitest';
import type { Resource } from '../domain/catalog.ts';
import { checkTable } from './check-table.ts';
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
    relations: [relation()],
    ...overrides,
  };
}

const codes = (resource: Resource, description: TableDescription | undefined) =>
  checkTable(resource, description, 'tandem').map(({ code }) => code);

test('a table that fits has no findings', () => {
  expect(checkTable(ORDERS, table(), 'tandem')).toEqual([]);
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
  expect(checkTable(ORDERS, table({ columns }), 'tandem')).toMatchObject([
    { code: 'no_key', sql: 'ALTER TABLE "shop"."orders" ALTER COLUMN "id" SET NOT NULL' },
  ]);
});

test('an identity by an index that carries key and account is enough until there is a soft delete', () => {
  const relations = [relation({ replicaIdentity: 'i', identityColumns: ['id', 'account_id'] })];
  const columns = [
    column('id'),
    column('account_id'),
    column('deleted_at', { isNotNull: false, typeOid: TIMESTAMPTZ_OID, baseTypeOid: TIMESTAMPTZ_OID }),
  ];
  expect(codes(ORDERS, table({ relations, columns }))).toEqual([]);
  expect(
    checkTable({ ...ORDERS, softDelete: 'deleted_at' }, table({ relations, columns }), 'tandem'),
  ).toEqual([
    {
      code: 'replica_identity',
      resource: 'orders',
      message: expect.stringContaining('does not carry deleted_at'),
      sql: 'ALTER TABLE ONLY "shop"."orders" REPLICA IDENTITY FULL',
    },
  ]);
});

test('once one partition is full, the table and all its partitions must be', () => {
  const enough = { replicaIdentity: 'd', identityColumns: ['id', 'account_id'] };
  const relations = [
    relation({ kind: 'p', ...enough }),
    relation({ name: 'orders_1' }),
    relation({ name: 'orders_2', ...enough }),
  ];
  const findings = checkTable(ORDERS, table({ kind: 'p', relations }), 'tandem');
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
  const findings = checkTable({ ...ORDERS, operations }, table(), 'tandem');
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
