import type { Resource } from '../../../shared/domain/catalog.ts';
import type { RowTexts } from '../../../shared/domain/row-type.ts';
import { quoteIdent, quoteTable } from '../../../shared/postgres/quote.ts';
import {
  type KeyColumn,
  keyValueSql,
  parseRecordKey,
  readKeyColumns,
  sameValueSql,
} from '../changes-since/keyed-queries.ts';
import {
  boundConditions,
  columnOf,
  type KeyBounds,
  type RowSelection,
  SELECTED,
  type SqlQuery,
  selectionConditions,
} from '../plan/row-selection.ts';
import type { SourceSession } from '../source/source-session.ts';
import { inRangeSql } from './select-image.ts';

/**
 * A resource at the cut is its table under the snapshot without the affected keys, plus the records of these keys at
 * the cut. The server merges the two, because only the server can order the keys.
 */

const keyName = (at: number) => `k${at}`;

/** A temporary table of the holder's session: a resource's affected keys as texts. */
export function createKeyTableSql(table: string): string {
  return `create temp table ${table} (place bigint, is_in boolean, key text[])`;
}

/**
 * Parameters: places, whether a record existed, record keys, values of the range column, and with a range its two ends.
 *
 * @param rangeType the SQL type of the range column; undefined without a range
 */
export function fillKeyTableSql(table: string, rangeType: string | undefined): string {
  const inRange = rangeType === undefined ? '' : ` and ${inRangeSql(rangeType, 'u.value', '$5', '$6')}`;
  return `insert into pg_temp.${table} (place, is_in, key)
select u.place, coalesce(u.is_in${inRange}, false), array(select jsonb_array_elements_text(u.key::jsonb))
from unnest($1::bigint[], $2::boolean[], $3::text[], $4::text[]) as u(place, is_in, key, value)`;
}

/**
 * Every `rowsPerChunk`th key of rows and affected keys together, and the last one, in key order. Each comes with the
 * number of exported rows and of affected keys up to and including it.
 */
export function chunkBoundsQuery(
  selection: RowSelection,
  key: readonly TypedKeyColumn[],
  table: string,
  rowsPerChunk: number,
): SqlQuery {
  const { conditions, values } = selectionConditions(selection);
  const names = key.map((_, at) => keyName(at)).join(', ');
  const ofTable = key.map(({ name }, at) => `${columnOf(SELECTED, name)} as ${keyName(at)}`).join(', ');
  const affected = key.map((column, at) => typedValueSql(column, `a.key[${at + 1}]`)).join(', ');
  const isAffected = sameKeySql(key, (column, at) => typedValueSql(column, `a.key[${at + 1}]`));
  const where = [...conditions, `not exists (select from pg_temp.${table} a where ${isAffected})`];
  return {
    text: `select ${names}, rows_in, keys_so_far from (
  select m.*, row_number() over w as n, count(*) filter (where m.is_in) over w as rows_in,
    count(m.place) over w as keys_so_far, lead(true) over w is null as is_last
  from (
    select ${ofTable}, true as is_in, null::bigint as place
    from ${quoteTable(selection.resource.table)} ${SELECTED} where ${where.join(' and ')}
    union all
    select ${affected}, a.is_in, a.place from pg_temp.${table} a
  ) m
  window w as (order by ${names}, place rows between unbounded preceding and current row)
) c where n % ${rowsPerChunk} = 0 or is_last order by n`,
    values,
  };
}

/** The affected keys in key order. Both queries order equal keys with different texts alike. */
export function affectedKeysQuery(key: readonly TypedKeyColumn[], table: string): SqlQuery {
  const order = key.map((column, at) => typedValueSql(column, `a.key[${at + 1}]`)).join(', ');
  return { text: `select a.place, a.is_in from pg_temp.${table} a order by ${order}, a.place`, values: [] };
}

/**
 * A chunk's rows in key order. Table rows without the affected keys have null behind the columns. Each affected key
 * with a record adds a row of its key alone, followed by its 1-based place in `keys`.
 */
export function rowsAsOfQuery(
  selection: RowSelection,
  columns: readonly string[],
  bounds: KeyBounds,
  key: readonly TypedKeyColumn[],
  keys: readonly { readonly texts: readonly string[]; readonly isIn: boolean }[],
): SqlQuery {
  const { conditions, values: selectionValues } = selectionConditions(selection);
  const values: (string | readonly string[])[] = [...selectionValues];
  const addValue = (value: string | readonly string[]) => `$${values.push(value)}`;
  conditions.push(...boundConditions(selection.resource.key, bounds, addValue));
  const arrays = key.map((_, at) => `${addValue(keys.map(({ texts }) => texts[at] ?? ''))}::text[]`);
  arrays.push(`${addValue(keys.map(({ isIn }) => String(isIn)))}::boolean[]`);
  const texts = key.map((_, at) => `u.c${at}`);
  const typed = key.map((column, at) => `${typedValueSql(column, `u.c${at}`)} as ${keyName(at)}`);
  const isAffected = sameKeySql(key, (_, at) => `a.${keyName(at)}`);
  const ofKey = columns.map((name) => {
    const at = key.findIndex((column) => column.name === name);
    return at < 0 ? 'null' : `a.${keyName(at)}`;
  });
  const order = key.map(({ name }) => columns.indexOf(name) + 1);
  return {
    text: `with a as materialized (
  select ${typed.join(', ')}, u.is_in, u.place
  from unnest(${arrays.join(', ')}) with ordinality as u(${texts.map((text) => text.slice(2)).join(', ')}, is_in, place)
)
select ${columns.map((name) => columnOf(SELECTED, name)).join(', ')}, null::bigint
from ${quoteTable(selection.resource.table)} ${SELECTED}
where ${[...conditions, `not exists (select from a where ${isAffected})`].join(' and ')}
union all
select ${ofKey.join(', ')}, a.place from a where a.is_in
order by ${order.join(', ')}`,
    values,
  };
}

/** A key column whose values, parsed from texts, sort among those of the table. */
export interface TypedKeyColumn extends KeyColumn {
  /** `"schema"."name"` of the collation that orders the column's texts; null for a type without one. */
  readonly collation: string | null;
}

const READ_COLLATIONS = `
select a.attname as name, n.nspname as schema, c.collname as collation
from pg_attribute a
join pg_collation c on c.oid = a.attcollation
join pg_namespace n on n.oid = c.collnamespace
where a.attrelid = $1::regclass and a.attname = any($2::text[])`;

/** @throws ExportFailedError for a key type whose values cannot be parsed from their text */
export async function readTypedKey(session: SourceSession, resource: Resource): Promise<TypedKeyColumn[]> {
  const columns = await readKeyColumns(session, resource);
  const { rows } = await session.query(READ_COLLATIONS, [quoteTable(resource.table), resource.key]);
  const collations = new Map(
    rows.map(({ name, schema, collation }) => [
      name,
      `${quoteIdent(schema ?? '')}.${quoteIdent(collation ?? '')}`,
    ]),
  );
  return columns.map((column) => ({ ...column, collation: collations.get(column.name) ?? null }));
}

/**
 * The column's value in SQL, from an expression for its wire text or its printed text. It compares and sorts like the
 * column.
 */
export function typedValueSql(
  column: TypedKeyColumn,
  text: string,
  form: 'wire' | 'printed' = 'wire',
): string {
  const value = form === 'wire' ? keyValueSql(column, text) : `${text}::${column.sqlType}`;
  return column.collation === null ? value : `(${value}) collate ${column.collation}`;
}

/** The condition that the selected row has the key whose values `affected` gives. */
function sameKeySql(
  key: readonly TypedKeyColumn[],
  affected: (column: TypedKeyColumn, at: number) => string,
): string {
  return key
    .map((column, at) => sameValueSql(column, columnOf(SELECTED, column.name), affected(column, at)))
    .join(' and ');
}

/** An affected key of a chunk. */
export interface ChunkImage {
  readonly recordKey: string;
  /** Wire texts; null for a key without a record in the chunk. */
  readonly image: RowTexts | null;
}

/** A chunk's rows at the cut, in key order, from the table or from events. */
export interface AsOfRows {
  /** Has one column more: null behind a row of the table, otherwise the place of an image. */
  readonly query: SqlQuery;
  /** The record's wire texts. */
  imageAt(place: string): RowTexts;
}

export async function readAsOfRows(
  session: SourceSession,
  selection: RowSelection,
  columns: readonly string[],
  bounds: KeyBounds,
  images: readonly ChunkImage[],
): Promise<AsOfRows> {
  const key = await readTypedKey(session, selection.resource);
  const keys = images.map(({ recordKey, image }) => ({
    texts: parseRecordKey(recordKey, key.length),
    isIn: image !== null,
  }));
  return {
    query: rowsAsOfQuery(selection, columns, bounds, key, keys),
    imageAt(place) {
      const image = images[Number(place) - 1]?.image;
      if (image == null) throw new Error(`there is no record at place ${place} of a chunk of the past`);
      return image;
    },
  };
}
