import { describeTables, findTable } from '../../../shared/catalog/describe-table.ts';
import type { Resource } from '../../../shared/domain/catalog.ts';
import type { ValueType } from '../../../shared/domain/row-type.ts';
import { quoteTable } from '../../../shared/postgres/quote.ts';
import { loadTypes } from '../../../shared/values/database-types.ts';
import { ExportFailedError } from '../extraction-errors.ts';
import type { SqlQuery } from '../plan/row-selection.ts';
import { columnOf, type RowSelection, SELECTED, selectionConditions } from '../plan/row-selection.ts';
import type { SourceSession } from '../source/source-session.ts';

/** Wire texts of the key columns, in key order. */
export type RecordKeyTexts = readonly string[];

/** The 1-based places in `keys` whose rows are selected. */
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

/** A key column, and how to turn its wire text, as used in events and Kafka keys, back into a value. */
export interface KeyColumn {
  readonly name: string;
  /** As `format_type` writes it, to be used in a cast. */
  readonly sqlType: string;
  readonly kind: ValueType['kind'];
}

/** @throws ExportFailedError for a key type whose values cannot be parsed from their text */
export async function readKeyColumns(session: SourceSession, resource: Resource): Promise<KeyColumn[]> {
  const table = findTable(await describeTables(session.client, [resource.table]), resource.table);
  const types = await loadTypes(session.client);
  return resource.key.map((name) => {
    const column = table?.columns.find((each) => each.name === name);
    if (column === undefined) {
      throw new ExportFailedError('table_changed', `${resource.name} has lost its key column ${name}.`);
    }
    const { kind } = types.valueType(column.typeOid, column.typeModifier);
    if (kind === 'json') {
      throw new ExportFailedError(
        'invalid_request',
        `${resource.name} has the structured column ${name} in its key, so only exports of its present state are possible.`,
      );
    }
    return { name, sqlType: column.typeName, kind };
  });
}

/** The column's value in SQL, from an expression for its wire text. */
export function keyValueSql({ sqlType, kind }: KeyColumn, wireText: string): string {
  return kind === 'bytes' ? `decode(${wireText}, 'base64')` : `${wireText}::${sqlType}`;
}

/**
 * Types whose equal values always have one text. Values of other types may be equal and print differently, or compare
 * by a collation.
 */
const ONE_TEXT_KINDS: ReadonlySet<KeyColumn['kind']> = new Set(['int', 'long', 'boolean', 'bytes']);

/**
 * The condition that a column has exactly this value: equal, so that an index finds it, and printed alike. A record's
 * identity is the text of its key, as in files and events: `Ann` is not `ANN`, although citext treats them as equal.
 */
export function sameValueSql({ kind, sqlType }: KeyColumn, place: string, value: string): string {
  if (ONE_TEXT_KINDS.has(kind) || sqlType === 'uuid') return `${place} = ${value}`;
  // `concat` prints values as files do. A cast to text would drop the padding of char(n).
  const printed = (expression: string) => `pg_catalog.concat(${expression}) collate "C"`;
  return `${place} = ${value} and ${printed(place)} = ${printed(value)}`;
}

/** An expression that sorts wire texts by their values: numbers by size, anything else by characters. */
export function keyOrderSql({ sqlType, kind }: KeyColumn, wireText: string): string {
  const isNumber = kind === 'int' || kind === 'long' || sqlType.startsWith('numeric');
  return isNumber ? `${wireText}::numeric` : `${wireText} collate "C"`;
}

/** @throws Error when the text is not a record key of `columnCount` columns, which would be a bug */
export function parseRecordKey(text: string, columnCount: number): string[] {
  const parts: unknown = JSON.parse(text);
  if (
    Array.isArray(parts) &&
    parts.length === columnCount &&
    parts.every((part) => typeof part === 'string')
  ) {
    return parts;
  }
  throw new Error(`a record key is not an array of ${columnCount} texts`);
}
