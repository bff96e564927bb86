import type { ColumnDescription, TableDescription } from '../../../shared/catalog/describe-table.ts';
import type { TableName } from '../../../shared/domain/catalog.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { quoteIdent, quoteTable } from '../../../shared/postgres/quote.ts';
import { withoutPlural, wordsOf } from './names.ts';
import { idOf } from './table-references.ts';

/** A type and an ID that name a record of one of several tables: `subject_type` and `subject_id`. */
export interface TypedColumns {
  readonly type: ColumnDescription;
  readonly id: ColumnDescription;
}

export function findTypedColumns({ columns }: TableDescription): TypedColumns | undefined {
  for (const type of columns) {
    const stem = /^(.+)_type$/.exec(wordsOf(type.name))?.[1];
    const id = columns.find(({ name }) => wordsOf(name) === `${stem}_id`);
    if (stem !== undefined && id !== undefined && !type.isGenerated && !id.isGenerated) return { type, id };
  }
  return undefined;
}

/** Rows that are looked at in each such table, and types that are named of them. */
const MAX_ROWS = 10_000;
const MAX_TYPES = 50;

/** The types that a table's first rows have, by the table; none where the role may not read it. */
export async function readTypes(
  db: Queryable,
  tables: readonly TableDescription[],
): Promise<ReadonlyMap<string, readonly string[]>> {
  const types = new Map<string, readonly string[]>();
  for (const table of tables) {
    const columns = findTypedColumns(table);
    if (columns === undefined || !(await mayRead(db, table))) continue;
    const { rows } = await db.query<{ type: string }>(
      `select distinct type from (select ${quoteIdent(columns.type.name)}::text as type from ${quoteTable(table)} limit ${MAX_ROWS}) s
       where type <> '' order by type limit ${MAX_TYPES}`,
    );
    types.set(
      idOf(table),
      rows.map(({ type }) => type),
    );
  }
  return types;
}

async function mayRead(db: Queryable, table: TableName): Promise<boolean> {
  const { rows } = await db.query<{ may: string }>(
    `select (has_schema_privilege($1, 'usage') and has_table_privilege($2, 'select'))::text as may`,
    [table.schema, quoteTable(table)],
  );
  return rows[0]?.may === 'true';
}

/** What a record of a type is called: `Billing::Invoice` and `App\\Invoice` are invoices. */
export function tableWordOf(type: string): string {
  return withoutPlural(wordsOf(type.split(/::|[\\./]/).at(-1) ?? type));
}
