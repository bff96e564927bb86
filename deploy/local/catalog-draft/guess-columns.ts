import type { ColumnDescription, TableDescription } from '../../../shared/catalog/describe-table.ts';

/** What the most products call the customer whose a row is, the likeliest first. */
const ACCOUNT_WORDS = [
  'account',
  'tenant',
  'organization',
  'organisation',
  'org',
  'workspace',
  'company',
  'merchant',
  'shop',
  'team',
  'client',
  'customer',
];
const ACCOUNT_ENDINGS = ['', '_id', '_uuid', '_key'];

const SOFT_DELETE_NAMES = [
  'deleted_at',
  'deleted_on',
  'removed_at',
  'discarded_at',
  'trashed_at',
  'archived_at',
];

const RANGE_NAMES = [
  'created_at',
  'created_on',
  'inserted_at',
  'creation_date',
  'date_created',
  'created',
  'occurred_at',
  'received_at',
  'started_at',
  'recorded_at',
  'timestamp',
];

const SECRET_NAME =
  /(^|_)(password|passwd|pwd|secret|secrets|token|hash|salt|credential|credentials|internal|private)(_|$)|api_key/i;

/** OIDs of date, timestamp and timestamptz: fixed by PostgreSQL itself. */
const MOMENT_OIDS: readonly number[] = [1082, 1114, 1184];

/**
 * The names that say whose a row is, the likeliest first: of the words that products use, those in most tables. In a table that
 * belongs to customers of a customer, this is what tells the two apart.
 */
export function rankAccountColumns(tables: readonly TableDescription[]): string[] {
  const known = ACCOUNT_WORDS.flatMap((word) => ACCOUNT_ENDINGS.map((ending) => `${word}${ending}`));
  const counted = known.map((name, rank) => ({
    name,
    rank,
    count: tables.filter((table) => findUsable(table, name) !== undefined).length,
  }));
  return counted
    .filter(({ count }) => count > 0)
    .toSorted((a, b) => b.count - a.count || a.rank - b.rank)
    .map(({ name }) => name);
}

/** The primary key, or the first unique key of columns that are never null. */
export function guessKey(table: TableDescription): readonly string[] | undefined {
  return table.uniqueIndexes.find(({ columns }) =>
    columns.every((name) => findUsable(table, name)?.isNotNull === true),
  )?.columns;
}

export function guessSoftDelete(table: TableDescription): string | undefined {
  return findMoment(table, SOFT_DELETE_NAMES, (column) => !column.isNotNull);
}

export function guessRange(table: TableDescription): string | undefined {
  return findMoment(table, RANGE_NAMES, () => true);
}

/** Columns whose names say that they are no customer's business. `used` are named elsewhere and can't be hidden. */
export function guessHidden(table: TableDescription, used: readonly string[]): string[] {
  return table.columns
    .filter(({ name, isGenerated }) => !isGenerated && SECRET_NAME.test(name) && !used.includes(name))
    .map(({ name }) => name);
}

/** A column that the WAL carries too. */
export function findUsable(table: TableDescription, name: string): ColumnDescription | undefined {
  return table.columns.find((column) => column.name === name && !column.isGenerated);
}

function findMoment(
  table: TableDescription,
  names: readonly string[],
  fits: (column: ColumnDescription) => boolean,
): string | undefined {
  return names.find((name) => {
    const column = findUsable(table, name);
    return column !== undefined && MOMENT_OIDS.includes(column.baseTypeOid) && fits(column);
  });
}
