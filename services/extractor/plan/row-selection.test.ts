import { expect, test } from 'vitest';
import { parseFilter } from '../../../shared/domain/bulk-filter.ts';
import type { Resource } from '../../../shared/domain/catalog.ts';
import { ExportFailedError } from '../extraction-errors.ts';
import type { Reference } from './references.ts';
import {
  countsQuery,
  keysQuery,
  type RowSelection,
  readRequest,
  resourceOf,
  rowsQuery,
  selectionConditions,
} from './row-selection.ts';

function resource(name: string, more: Partial<Resource> = {}): Resource {
  return {
    name,
    table: { schema: 'shop', name },
    event: name.slice(0, -1),
    key: ['id'],
    account: 'account',
    range: 'at',
    softDelete: 'gone',
    hide: [],
    related: [],
    operations: {},
    syncLimit: 100,
    ...more,
  };
}

const customers = resource('customers');
const invoices = resource('invoices');
const lines = resource('lines');

function reference(from: Resource, to: Resource): Reference {
  return { from, to, columns: [{ from: `${to.name}_id`, to: 'id' }] };
}

const REFERENCES = [reference(invoices, customers), reference(lines, invoices)];
const RANGE = { from: '2026-01-01T00:00:00Z', to: '2026-02-01T00:00:00Z', field: null };

function conditionsOf(
  of: Resource,
  request: Partial<RowSelection['request']> = {},
  references: readonly Reference[] = REFERENCES,
): string {
  const { conditions, values } = selectionConditions({
    resource: of,
    request: {
      resources: ['invoices'],
      include_deleted: false,
      include_related: true,
      date_range: null,
      changes_since: null,
      as_of: null,
      max_rows_per_second: null,
      ...request,
    },
    accountSourceId: 'acme',
    references,
  });
  const text = conditions.join(' and ');
  for (const [index] of values.entries()) expect(text).toContain(`$${index + 1}`);
  return text;
}

test('a deleted row is selected when a selected row refers to it, over any number of steps', () => {
  expect(conditionsOf(lines)).toBe('t."account" = $1 and t."gone" is null');
  expect(conditionsOf(customers)).toBe(
    't."account" = $1 and (t."gone" is null or exists (select from "shop"."invoices" t1 where ' +
      't1."customers_id" = t."id" and t1."account" = $2 and (t1."gone" is null or ' +
      'exists (select from "shop"."lines" t2 where t2."invoices_id" = t1."id" and t2."account" = $3 ' +
      'and t2."gone" is null))))',
  );
});

test('a resource that only came along follows the date range of what it refers to', () => {
  expect(conditionsOf(lines, { include_deleted: true, date_range: RANGE })).toBe(
    't."account" = $1 and (t."invoices_id" is null or exists (select from "shop"."invoices" t1 where ' +
      't."invoices_id" = t1."id" and t1."at" >= $2::timestamptz and t1."at" < $3::timestamptz))',
  );
});

test('a resource that only came along and refers to none that is cut is taken whole', () => {
  expect(conditionsOf(customers, { include_deleted: true, date_range: RANGE })).toBe('t."account" = $1');
});

test('with deleted rows and no date range everything of the account is selected', () => {
  for (const each of [customers, invoices, lines]) {
    expect(conditionsOf(each, { include_deleted: true })).toBe('t."account" = $1');
  }
});

test('tables in a circle, or with a reference to themselves, are taken whole', () => {
  const circle = [...REFERENCES, reference(customers, invoices)];
  expect(conditionsOf(invoices, { date_range: RANGE }, circle)).toBe('t."account" = $1');
  expect(conditionsOf(customers, {}, [reference(customers, customers)])).toBe('t."account" = $1');
  expect(conditionsOf(lines, {}, circle)).toBe('t."account" = $1 and t."gone" is null');
});

test('a table that too many others lead to is taken whole', () => {
  // Each layer refers twice to the one before, so that the paths double with each.
  const layers = Array.from({ length: 10 }, (_, index) => resource(`layer${index}`));
  const many = layers.slice(1).flatMap((layer, index) => {
    const before = layers[index];
    return before === undefined ? [] : [reference(layer, before), reference(layer, before)];
  });
  const conditions = layers.map((layer) => conditionsOf(layer, {}, many));
  expect(conditions[3]).toBe('t."account" = $1');
  expect(conditions.at(-1)).toBe('t."account" = $1 and t."gone" is null');
  for (const text of conditions) expect(text.split('exists').length).toBeLessThanOrEqual(101);
});

test('no row leaves that the resource keeps back, neither by itself nor as what another one refers to', () => {
  const where = parseFilter({ status: { in: ['open', 'a"b'] }, memo: { is_null: false } });
  const shown = resource('customers', { where });
  const references = [reference(invoices, shown)];
  const kept = '(t."status" = any ($2) and t."memo" is not null)';
  expect(conditionsOf(shown, {}, references)).toBe(
    `t."account" = $1 and ${kept} and (t."gone" is null or exists (select from "shop"."invoices" t1 where ` +
      't1."customers_id" = t."id" and t1."account" = $3 and t1."gone" is null))',
  );
});

test('a request that can not be read, or a resource that has left the catalog, fails the export', () => {
  expect(() => readRequest({})).toThrow(ExportFailedError);
  expect(() => resourceOf({ name: 'shop', resources: [] }, 'orders')).toThrow(ExportFailedError);
});

const LINES: Resource = {
  name: 'lines',
  table: { schema: 'shop', name: 'Lines' },
  event: 'line',
  key: ['order_code', 'position'],
  account: 'account_id',
  range: 'created_at',
  softDelete: 'deleted_at',
  hide: [],
  related: [],
  operations: {},
  syncLimit: 100,
};

function selection(request: Partial<RowSelection['request']> = {}): RowSelection {
  return {
    resource: LINES,
    request: {
      resources: ['lines'],
      include_deleted: false,
      include_related: false,
      date_range: null,
      changes_since: null,
      as_of: null,
      max_rows_per_second: null,
      ...request,
    },
    accountSourceId: "a'cme",
    references: [],
  };
}

test('keys are those of the account’s rows that are not deleted, in key order', () => {
  expect(keysQuery(selection())).toEqual({
    text:
      'select t."order_code", t."position" from "shop"."Lines" t where t."account_id" = $1 and t."deleted_at" is null ' +
      'order by t."order_code", t."position"',
    values: ["a'cme"],
  });
});

test('all accounts with deleted rows is the whole table', () => {
  const all = { ...selection({ include_deleted: true }), accountSourceId: null };
  expect(keysQuery(all).text).toBe(
    'select t."order_code", t."position" from "shop"."Lines" t order by t."order_code", t."position"',
  );
});

test('a chunk has its bounds as parameters, the lower exclusive and the upper inclusive', () => {
  const query = rowsQuery(selection({ include_deleted: true }), ['body'], {
    lowerKey: ['a', '1'],
    upperKey: ['b', '2'],
  });
  expect(query).toEqual({
    text:
      'select t."body" from "shop"."Lines" t where t."account_id" = $1 and (t."order_code", t."position") > ($2, $3) ' +
      'and (t."order_code", t."position") <= ($4, $5) order by t."order_code", t."position"',
    values: ["a'cme", 'a', '1', 'b', '2'],
  });
});

test('bounds of a key of a composite type are told their type', () => {
  const bounds = { lowerKey: null, upperKey: ['(1,a)', '2'] };
  const keyCasts = ['::shop.place', ''];
  expect(rowsQuery(selection({ include_deleted: true }), ['body'], bounds, { keyCasts }).text).toContain(
    '(t."order_code", t."position") <= ($2::shop.place, $3)',
  );
});

test('a date range is by the named column, or by the resource’s own', () => {
  const range = { from: '2026-01-01T00:00:00Z', to: '2026-02-01T00:00:00Z', field: null };
  expect(keysQuery(selection({ date_range: range })).text).toContain(
    't."created_at" >= $2::timestamptz and t."created_at" < $3::timestamptz',
  );
  const named = { ...range, field: 'updated_at' };
  const query = keysQuery(selection({ date_range: named }));
  expect(query.text).toContain(
    't."updated_at" >= $2::timestamptz and t."updated_at" < $3::timestamptz order',
  );
  expect(query.values).toEqual(["a'cme", '2026-01-01T00:00:00Z', '2026-02-01T00:00:00Z']);
});

test('several resources are counted by one statement, each up to its limit and with its own parameters', () => {
  const mine = selection({ include_deleted: true });
  expect(
    countsQuery([
      { selection: mine, limit: 11 },
      { selection: { ...mine, accountSourceId: null }, limit: 5 },
      { selection: { ...mine, accountSourceId: 'other' }, limit: 2 },
    ]),
  ).toEqual({
    text:
      'select (select count(*) from (select from "shop"."Lines" t where t."account_id" = $1 limit 11) c)::text as n0, ' +
      '(select count(*) from (select from "shop"."Lines" t limit 5) c)::text as n1, ' +
      '(select count(*) from (select from "shop"."Lines" t where t."account_id" = $2 limit 2) c)::text as n2',
    values: ["a'cme", 'other'],
  });
});
