import type { ColumnDescription, TableDescription } from '../../../shared/catalog/describe-table.ts';
import { wordsOf } from './names.ts';

const SOFT_DELETE_NAMES = ['deleted_at', 'deleted_on', 'removed_at', 'discarded_at', 'trashed_at'];

/** A record that is put away is deleted in some products, and in others not. */
const ARCHIVED_NAMES = ['archived_at', 'archived_on'];

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

/** OIDs of date, timestamp and timestamptz: fixed by PostgreSQL itself. */
const MOMENT_OIDS: readonly number[] = [1082, 1114, 1184];

/** The keys of columns that are never null, the primary one first. */
export function usableKeys(table: TableDescription): (readonly string[])[] {
  return table.uniqueIndexes
    .filter(({ columns }) => columns.every((name) => findUsable(table, name)?.isNotNull === true))
    .map(({ columns }) => columns);
}

export function guessSoftDelete(table: TableDescription): string | undefined {
  return findMoment(table, SOFT_DELETE_NAMES, (column) => !column.isNotNull);
}

export function archivedColumn(table: TableDescription): string | undefined {
  return findMoment(table, ARCHIVED_NAMES, (column) => !column.isNotNull);
}

/** `private`, `is_draft`, `internalNote`: flags of records that customers are not meant to see. */
const KEPT_BACK_FLAG =
  /^(is_)?(private|internal|draft|hidden|confidential|staff_only|internal_note)(_note)?$/;
const BOOLEAN_OID = 16;

/** A flag by which the product may keep records from its customers. */
export function guessFlag(table: TableDescription): string | undefined {
  return table.columns.find(
    ({ name, baseTypeOid, isGenerated }) =>
      baseTypeOid === BOOLEAN_OID && !isGenerated && KEPT_BACK_FLAG.test(wordsOf(name)),
  )?.name;
}

export function guessRange(table: TableDescription): string | undefined {
  return findMoment(table, RANGE_NAMES, () => true);
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
  const moments = table.columns.filter(
    (column) => !column.isGenerated && MOMENT_OIDS.includes(column.baseTypeOid) && fits(column),
  );
  for (const name of names) {
    const found = moments.find((column) => wordsOf(column.name) === name);
    if (found !== undefined) return found.name;
  }
  return undefined;
}
