import type { Resource } from '../../../shared/domain/catalog.ts';
import { quoteIdent, quoteTable } from '../../../shared/postgres/quote.ts';
import { type KeyColumn, keyValueSql, readKeyColumns, sameValueSql } from '../changes-since/key-columns.ts';
import { columnOf, SELECTED } from '../plan/row-selection.ts';
import type { SourceSession } from '../source/source-session.ts';

/** A key column whose values, made from texts, have their place among those of the table. */
export interface TypedKeyColumn extends KeyColumn {
  /** `"schema"."name"` of what puts the column's texts in order; null for a type without. */
  readonly collation: string | null;
}

const READ_COLLATIONS = `
select a.attname as name, n.nspname as schema, c.collname as collation
from pg_attribute a
join pg_collation c on c.oid = a.attcollation
join pg_namespace n on n.oid = c.collnamespace
where a.attrelid = $1::regclass and a.attname = any($2::text[])`;

/** @throws ExportFailedError for a key that can't be read back from its text */
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

/** The column's value in SQL, from an expression for its wire text. It compares and sorts as the column does. */
export function typedValueSql(column: TypedKeyColumn, wireText: string): string {
  const value = keyValueSql(column, wireText);
  return column.collation === null ? value : `(${value}) collate ${column.collation}`;
}

/** That the selected row has the key of an affected one, whose values `affected` gives. */
export function sameKeySql(
  key: readonly TypedKeyColumn[],
  affected: (column: TypedKeyColumn, at: number) => string,
): string {
  return key
    .map((column, at) => sameValueSql(column, columnOf(SELECTED, column.name), affected(column, at)))
    .join(' and ');
}
