import { CatalogBehindError } from '../catalog/catalog-behind-error.ts';
import { isKeyOf } from '../catalog/check-table.ts';
import {
  type ColumnDescription,
  describeTables,
  findTable,
  visibleColumns,
} from '../catalog/describe-table.ts';
import { showTable } from '../catalog/parse-table-name.ts';
import { hasFieldColumns } from '../catalog/table-form.ts';
import { accountColumnsOf, type Resource, tablesReadFor } from '../domain/catalog.ts';
import type { Queryable } from '../postgres/queryable.ts';
import { SetupError } from '../runtime/errors.ts';

/** A resource's table as bulk operations see it. */
export interface BulkTable {
  readonly resource: Resource;
  /** In key order; unique, and never null. */
  readonly key: readonly ColumnDescription[];
  /** The account column, which may be in another table; see `ownedSql`. Undefined for a shared resource, which nobody changes. */
  readonly account: ColumnDescription | undefined;
  /** Columns of unique indexes, which foreign keys may refer to: an update of one keeps inserts of children waiting. */
  readonly uniqueColumns: ReadonlySet<string>;
  /** Whether all rows are in one relation, where a row's place is unique: it has neither partitions nor children. */
  readonly isOneRelation: boolean;
  /** Any column, also a hidden one; for what the catalog names. */
  column(name: string): ColumnDescription | undefined;
  /** The columns of files and events, in their order. */
  readonly visibleColumns: readonly ColumnDescription[];
  /** A column that clients may know of. */
  visibleColumn(name: string): ColumnDescription | undefined;
}

/**
 * @throws SetupError when the table, its key or its account column is not there, or two rows may have the same key;
 *   CatalogBehindError when a column is not there that a resource with fields needs
 */
export async function loadBulkTable(db: Queryable, resource: Resource): Promise<BulkTable> {
  const tables = await describeTables(db, tablesReadFor([resource]));
  const table = findTable(tables, resource.table);
  if (table === undefined) {
    throw new SetupError(`the table ${showTable(resource.table)} of ${resource.name} does not exist`);
  }
  if (!hasFieldColumns(resource, table)) throw new CatalogBehindError(resource.name);
  const column = (name: string) => table.columns.find((candidate) => candidate.name === name);
  const visible = visibleColumns(table, resource);
  const need = (name: string, of = resource): ColumnDescription => {
    const found = findTable(tables, of.table)?.columns.find((candidate) => candidate.name === name);
    if (found === undefined) throw new SetupError(`${showTable(of.table)} has no column ${name}`);
    return found;
  };
  // All are of one type.
  const [account] = accountColumnsOf(resource);
  const key = resource.key.map((name) => need(name));
  if (!isKeyOf(table, resource.key)) {
    throw new SetupError(
      `(${resource.key.join(', ')}) is not a unique key of ${showTable(resource.table)}: run \`tandem catalog check\``,
    );
  }
  return {
    resource,
    key,
    account: account && need(account.column, account.resource),
    uniqueColumns: new Set(table.uniqueIndexes.flatMap(({ columns }) => columns)),
    isOneRelation: table.kind === 'r' && !table.hasChildren,
    column,
    visibleColumns: visible,
    visibleColumn: (name) => visible.find((candidate) => candidate.name === name),
  };
}

/**
 * The type to cast a value to that is compared with the column. Without its length or precision: a cast to `char(3)`
 * would cut `USDX` to `USD`, and match what was not asked for.
 */
export function comparableType({ typeName }: ColumnDescription): string {
  const bare = typeName.replace(/\(\d+(,-?\d+)?\)/, '');
  // Without a length these two mean a length of 1.
  return bare.replace(/^character(?! varying)/, 'bpchar').replace(/^bit(?! varying)/, 'bit varying');
}
