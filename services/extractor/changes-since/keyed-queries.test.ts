import { expect, test } from 'vitest';
import type { RowSelection } from '../plan/row-selection.ts';
import { keyedRowsQuery, presentKeysQuery } from './keyed-queries.ts';

const SELECTION: RowSelection = {
  resource: {
    name: 'lines',
    table: { schema: 'shop', name: 'lines' },
    event: 'line',
    key: ['code', 'position'],
    account: 'account_id',
    range: undefined,
    softDelete: 'deleted_at',
    hide: [],
    related: [],
    operations: {},
    syncLimit: 100,
  },
  request: {
    resources: ['lines'],
    includeDeleted: false,
    includeRelated: false,
    dateRange: undefined,
    changesSince: 'exp_1',
    asOf: null,
    maxRowsPerSecond: null,
  },
  accountSourceId: 'acme',
  references: [],
};

const KEY = [
  { name: 'code', sqlType: 'text', kind: 'string' },
  { name: 'position', sqlType: 'integer', kind: 'int' },
] as const;

const KEYS = [
  ['a', '1'],
  ['b', '2'],
];

const FROM =
  'from unnest($2::text[], $3::text[]) with ordinality as k(c0, c1, place) join "shop"."lines" t ' +
  'on t."code" = k.c0::text and pg_catalog.concat(t."code") collate "C" = pg_catalog.concat(k.c0::text) collate "C" ' +
  'and t."position" = k.c1::integer ' +
  'where t."account_id" = $1 and t."deleted_at" is null order by k.place';

test('keys are looked up by their values, column by column, among the selected rows', () => {
  expect(presentKeysQuery(SELECTION, KEY, KEYS)).toEqual({
    text: `select k.place::text as place ${FROM}`,
    values: ['acme', ['a', 'b'], ['1', '2']],
  });
});

test('rows come in the order of their keys', () => {
  expect(keyedRowsQuery(SELECTION, ['code', 'body'], KEY, KEYS).text).toBe(
    `select t."code", t."body" ${FROM}`,
  );
});
