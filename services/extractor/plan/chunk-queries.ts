import { quoteTable } from '../../../shared/postgres/quote.ts';
import { columnOf, type RowSelection, SELECTED, selectionConditions } from './row-selection.ts';

export interface SqlQuery {
  readonly text: string;
  /** Texts or arrays of texts. */
  readonly values: readonly (string | readonly string[])[];
}

/** A range of keys: `lowerKey` exclusive, `upperKey` inclusive. Null: unbounded. */
export interface KeyBounds {
  readonly lowerKey: readonly string[] | null;
  readonly upperKey: readonly string[] | null;
}

/** Selects the keys of all selected rows in key order, to count them and cut them into chunks. */
export function keysQuery(selection: RowSelection): SqlQuery {
  const { key } = selection.resource;
  const { conditions, values } = selectionConditions(selection);
  return { text: query(selection, list(key), conditions), values };
}

/** Counts the rows of several resources, each up to its limit. The columns are `n0`, `n1`, … */
export function countsQuery(
  counted: readonly { readonly selection: RowSelection; readonly limit: number }[],
): SqlQuery {
  const values: string[] = [];
  const columns = counted.map(({ selection, limit }, index) => {
    const { conditions } = selectionConditions(selection, values);
    const rows = `select from ${quoteTable(selection.resource.table)} ${SELECTED}${where(conditions)} limit ${limit}`;
    return `(select count(*) from (${rows}) c)::text as n${index}`;
  });
  return { text: `select ${columns.join(', ')}`, values };
}

/** Options of a chunk's query. */
export interface RowsQueryOptions {
  /** Casts after the bounds: a parameter compared with a composite type needs its type, such as `::public.point`. */
  readonly keyCasts?: readonly string[];
  /** A last column, in SQL. */
  readonly lastColumn?: string;
}

/** Selects the rows of one chunk in key order, with the columns in the given order. */
export function rowsQuery(
  selection: RowSelection,
  columns: readonly string[],
  bounds: KeyBounds,
  { keyCasts = [], lastColumn }: RowsQueryOptions = {},
): SqlQuery {
  const { conditions, values } = selectionConditions(selection);
  const addValue = (text: string, at: number) => `$${values.push(text)}${keyCasts[at] ?? ''}`;
  conditions.push(...boundConditions(selection.resource.key, bounds, addValue));
  const selected = lastColumn === undefined ? list(columns) : `${list(columns)}, ${lastColumn}`;
  return { text: query(selection, selected, conditions), values };
}

/** The conditions for a key within the bounds. `addValue` takes a value and its index in the key, and returns `$3`. */
export function boundConditions(
  key: readonly string[],
  { lowerKey, upperKey }: KeyBounds,
  addValue: (text: string, at: number) => string,
): string[] {
  // Parameters get the types and collations of the key columns, so the bounds compare as the cursor's order does.
  const compare = (operator: '>' | '<=', bound: readonly string[] | null) =>
    bound === null
      ? []
      : [`(${list(key)}) ${operator} (${bound.map((text, at) => addValue(text, at)).join(', ')})`];
  return [...compare('>', lowerKey), ...compare('<=', upperKey)];
}

function query({ resource }: RowSelection, selected: string, conditions: readonly string[]): string {
  return (
    `select ${selected} from ${quoteTable(resource.table)} ${SELECTED}${where(conditions)} ` +
    `order by ${list(resource.key)}`
  );
}

function where(conditions: readonly string[]): string {
  return conditions.length === 0 ? '' : ` where ${conditions.join(' and ')}`;
}

function list(columns: readonly string[]): string {
  return columns.map((column) => columnOf(SELECTED, column)).join(', ');
}
