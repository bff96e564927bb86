import type { FilterNode } from '../domain/bulk-filter.ts';
import { quoteTable } from '../postgres/quote.ts';
import type { BulkTable } from './bulk-table.ts';
import { accountSql, type Binder, columnSql, createBinder, filterSql, ROW } from './filter-sql.ts';
import { LEDGER } from './ledger.ts';

export interface Statement {
  readonly text: string;
  readonly values: readonly unknown[];
}

/** The account's items that the filter holds for, as the texts of their keys `k1, k2, …`, in key order. */
export function selectItems(table: BulkTable, filter: FilterNode, sourceId: string): Statement {
  return select(table, filter, sourceId, () => []);
}

function select(
  table: BulkTable,
  filter: FilterNode,
  sourceId: string,
  further: (binder: Binder) => string[],
): Statement {
  const { from, values } = matching(table, filter, sourceId, further);
  const columns = table.key.map(({ name }, index) => `${columnSql(name)}::text as k${index + 1}`);
  const order = table.key.map(({ name }) => columnSql(name));
  return { text: `select ${columns.join(', ')} ${from} order by ${order.join(', ')}`, values };
}

/**
 * As `selectItems`, without those that the job has in the ledger already. Compared as the ledger shows IDs, so that PostgreSQL
 * can hash them: a job may have millions.
 */
export function selectNewItems(
  table: BulkTable,
  filter: FilterNode,
  sourceId: string,
  jobId: string,
): Statement {
  return select(table, filter, sourceId, ({ bind }) => [
    `not exists (select from ${LEDGER} l where l.job_id = ${bind(jobId)} and l.item_id = ${itemIdSql(table)})`,
  ]);
}

/** As `showItemId` has it. */
function itemIdSql({ key }: BulkTable): string {
  const texts = key.map(({ name }) => `${columnSql(name)}::text`);
  if (texts.length === 1) return texts.join();
  return `'[' || ${texts.map((text) => `to_json(${text})::text`).join(` || ',' || `)} || ']'`;
}

/** The largest value of a record that is read for people, as it is stored. */
const MAX_SHOWN_BYTES = 2_000;

/**
 * The first items with their visible columns: the key's texts, then for each column whether its value is too large to be
 * shown, then the values.
 */
export function selectRecords(
  table: BulkTable,
  filter: FilterNode,
  sourceId: string,
  limit: number,
): Statement {
  const { from, values } = matching(table, filter, sourceId, () => []);
  const key = table.key.map(({ name }) => columnSql(name));
  const shown = table.visibleColumns.map(({ name }) => columnSql(name));
  const isLarge = (column: string) => `coalesce(pg_column_size(${column}) > ${MAX_SHOWN_BYTES}, false)`;
  const columns = [
    ...key.map((column) => `${column}::text`),
    ...shown.map((column) => isLarge(column)),
    ...shown.map((column) => `case when not ${isLarge(column)} then ${column} end`),
  ];
  return { text: `select ${columns.join(', ')} ${from} order by ${key.join(', ')} limit ${limit}`, values };
}

export function countItems(table: BulkTable, filter: FilterNode, sourceId: string): Statement {
  const { from, values } = matching(table, filter, sourceId, () => []);
  return { text: `select count(*)::text as count ${from}`, values };
}

/** Soft-deleted records are gone as far as customers see, so no filter finds them. */
function matching(
  table: BulkTable,
  filter: FilterNode,
  sourceId: string,
  further: (binder: Binder) => string[],
) {
  const binder = createBinder();
  const { softDelete } = table.resource;
  const conditions = [
    accountSql(table, sourceId, binder),
    ...(softDelete === undefined ? [] : [`${columnSql(softDelete)} is null`]),
    filterSql(filter, table, binder),
    ...further(binder),
  ];
  return {
    from: `from ${quoteTable(table.resource.table)} ${ROW} where ${conditions.join(' and ')}`,
    values: binder.values,
  };
}

/** A key from a row of `selectItems`. */
export function keyOf(table: BulkTable, row: Readonly<Record<string, string | null>>): string[] {
  return table.key.map((_, index) => row[`k${index + 1}`] ?? '');
}
