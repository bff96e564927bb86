import type { ColumnDescription, TableDescription } from '../../../shared/catalog/describe-table.ts';
import type { TableName } from '../../../shared/domain/catalog.ts';
import { withoutPlural, wordsOf } from './names.ts';
import type { DatabaseTables } from './read-tables.ts';

/** Columns of a table that say which row of another one belongs to it. */
export interface TableReference {
  readonly from: TableDescription;
  readonly columns: readonly string[];
  readonly to: TableDescription;
  readonly toColumns: readonly string[];
  /** A constraint says so; otherwise only the column's name does, as in products that declare no foreign keys. */
  readonly isConstraint: boolean;
}

/** Types whose values can name each other's rows: integers of any width, texts of any kind. OIDs are PostgreSQL's own. */
const TYPE_FAMILIES: readonly (readonly number[])[] = [
  [21, 23, 20],
  [25, 1043, 1042],
];

/** Words for the same thing, of which a table has one and a column another. */
const SYNONYMS: readonly (readonly string[])[] = [['organization', 'organisation', 'org']];

/**
 * What each table refers to: by foreign keys, and where a column has none, by its name: `team_id` and `teamId` name a row of `teams`
 * by its `id`.
 */
export function findReferences({ tables, foreignKeys }: DatabaseTables): TableReference[] {
  const tableOf = new Map(tables.map((table) => [idOf(table), table]));
  const constraints = foreignKeys.flatMap((key): TableReference[] => {
    const from = tableOf.get(idOf(key.from));
    const to = tableOf.get(idOf(key.to));
    if (from === undefined || to === undefined) return [];
    return [{ from, columns: key.columns, to, toColumns: key.toColumns, isConstraint: true }];
  });
  const named = namesOfRows(tables);
  const byName = tables.flatMap((from) =>
    from.columns.flatMap((column): TableReference[] => {
      const isDeclared = constraints.some(
        (one) => one.from === from && one.columns.length === 1 && one.columns[0] === column.name,
      );
      if (isDeclared || column.isGenerated) return [];
      const candidates = named.get(wordsOf(column.name)) ?? [];
      const fitting = candidates.filter(
        ({ table, key }) =>
          table !== from && areComparable(column, key) && !isAmbiguous(candidates, table, from),
      );
      return fitting.map(({ table, key }) => ({
        from,
        columns: [column.name],
        to: table,
        toColumns: [key.name],
        isConstraint: false,
      }));
    }),
  );
  return [...constraints, ...byName];
}

export function idOf({ schema, name }: TableName): string {
  return JSON.stringify([schema, name]);
}

/** What the rows of a table are called, one of them: `Organisation` gives `organisation`, `org` and `organization`. */
export function singularsOf({ name }: TableName): readonly string[] {
  const singular = withoutPlural(wordsOf(name));
  return SYNONYMS.find((words) => words.includes(singular)) ?? [singular];
}

interface NamedKey {
  readonly table: TableDescription;
  readonly key: ColumnDescription;
}

/** `team_id` → the column `id` of `teams`, for each table and each column that alone tells its rows apart. */
function namesOfRows(tables: readonly TableDescription[]): Map<string, NamedKey[]> {
  const named = new Map<string, NamedKey[]>();
  for (const table of tables) {
    for (const key of singleKeysOf(table)) {
      for (const singular of singularsOf(table)) {
        const name = `${singular}_${wordsOf(key.name)}`;
        named.set(name, [...(named.get(name) ?? []), { table, key }]);
      }
    }
  }
  return named;
}

function singleKeysOf(table: TableDescription): ColumnDescription[] {
  return table.columns.filter(
    ({ name, isNotNull }) =>
      isNotNull && table.uniqueIndexes.some(({ columns }) => columns.length === 1 && columns[0] === name),
  );
}

/** Of tables of one name the one in the same schema is meant. Without such a one nobody can tell. */
function isAmbiguous(
  candidates: readonly NamedKey[],
  table: TableDescription,
  from: TableDescription,
): boolean {
  const tables = new Set(candidates.map((candidate) => candidate.table));
  return tables.size > 1 && table.schema !== from.schema;
}

/** Whether a value of one column can be one of the other. */
export function areComparable(a: ColumnDescription, b: ColumnDescription): boolean {
  if (a.baseTypeOid === b.baseTypeOid) return true;
  return TYPE_FAMILIES.some((family) => family.includes(a.baseTypeOid) && family.includes(b.baseTypeOid));
}
