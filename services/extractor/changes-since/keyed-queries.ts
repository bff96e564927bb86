import { quoteTable } from '../../../shared/postgres/quote.ts';
import type { SqlQuery } from '../plan/chunk-queries.ts';
import { columnOf, type RowSelection, SELECTED, selectionConditions } from '../plan/row-selection.ts';
import { type KeyColumn, keyValueSql, sameValueSql } from './key-columns.ts';

/** Wire texts of the key columns, in key order. */
export type RecordKeyTexts = readonly string[];

/** The 1-based places, in `keys`, of those whose rows are selected. */
export function presentKeysQuery(
  selection: RowSelection,
  columns: readonly KeyColumn[],
  keys: readonly RecordKeyTexts[],
): SqlQuery {
  return keyedQuery('k.place::text as place', selection, columns, keys);
}

/** The selected rows of `keys`, in their order, with the columns in the given order. */
export function keyedRowsQuery(
  selection: RowSelection,
  columns: readonly string[],
  keyColumns: readonly KeyColumn[],
  keys: readonly RecordKeyTexts[],
): SqlQuery {
  return keyedQuery(
    columns.map((column) => columnOf(SELECTED, column)).join(', '),
    selection,
    keyColumns,
    keys,
  );
}

function keyedQuery(
  wanted: string,
  selection: RowSelection,
  columns: readonly KeyColumn[],
  keys: readonly RecordKeyTexts[],
): SqlQuery {
  const { conditions, values: selectionValues } = selectionConditions(selection);
  const values: (string | readonly string[])[] = [...selectionValues];
  const arrays = columns.map((_, at) => `$${values.push(keys.map((key) => key[at] ?? ''))}::text[]`);
  const names = columns.map((_, at) => `c${at}`);
  const same = columns.map((column, at) =>
    sameValueSql(column, columnOf(SELECTED, column.name), keyValueSql(column, `k.c${at}`)),
  );
  return {
    text:
      `select ${wanted} from unnest(${arrays.join(', ')}) with ordinality as k(${[...names, 'place'].join(', ')}) ` +
      `join ${quoteTable(selection.resource.table)} ${SELECTED} on ${same.join(' and ')}` +
      `${conditions.length === 0 ? '' : ` where ${conditions.join(' and ')}`} order by k.place`,
    values,
  };
}
