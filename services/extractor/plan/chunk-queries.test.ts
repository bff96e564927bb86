import { expect, test } from 'vitest';
import type { Resource } from '../../../shared/domain/catalog.ts';
import { countsQuery, keysQuery, rowsQuery } from './chunk-queries.ts';
import type { RowSelection } from './row-selection.ts';

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
