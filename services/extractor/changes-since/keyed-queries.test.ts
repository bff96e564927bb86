import { expect, test } from 'vitest';
import type { RowSelection } from '../plan/row-selection.ts';
import {
  keyedRowsQuery,
  keyOrderSql,
  keyValueSql,
  parseRecordKey,
  presentKeysQuery,
} from './keyed-queries.ts';

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
    include_deleted: false,
    include_related: false,
    date_range: null,
    changes_since: 'exp_1',
    as_of: null,
    max_rows_per_second: null,
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

test('a key is read back as its column’s type', () => {
  expect(keyValueSql({ name: 'id', sqlType: 'bigint', kind: 'long' }, 'k.c0')).toBe('k.c0::bigint');
  expect(keyValueSql({ name: 'id', sqlType: 'bytea', kind: 'bytes' }, 'k.c0')).toBe("decode(k.c0, 'base64')");
});

test('numbers are in order of size and texts in order of their characters', () => {
  expect(keyOrderSql({ name: 'id', sqlType: 'integer', kind: 'int' }, 'x')).toBe('x::numeric');
  expect(keyOrderSql({ name: 'id', sqlType: 'numeric(10,2)', kind: 'string' }, 'x')).toBe('x::numeric');
  expect(keyOrderSql({ name: 'id', sqlType: 'uuid', kind: 'string' }, 'x')).toBe('x collate "C"');
});

test('a record key has one text for each column', () => {
  expect(parseRecordKey('["7","a"]', 2)).toEqual(['7', 'a']);
  for (const text of ['[]', '["7"]', '["7",null]', '{"a":1}'])
    expect(() => parseRecordKey(text, 2)).toThrow();
});
