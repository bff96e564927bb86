import type { FilterNode } from '../domain/bulk-filter.ts';
import { quoteTable } from '../postgres/quote.ts';
import { createBinder } from './binder.ts';
import type { BulkTable } from './bulk-table.ts';
import { accountSql, columnSql, filterSql, ROW } from './filter-sql.ts';

export interface Statement {
  readonly text: string;
  readonly values: readonly unknown[];
}

/** The account's items that the filter holds for, as the texts of their keys `k1, k2, …`, in key order. */
export function selectItems(table: BulkTable, filter: FilterNode, sourceId: string): Statement {
  const { from, values } = matching(table, filter, sourceId);
  const columns = table.key.map(({ name }, index) => `${columnSql(name)}::text as k${index + 1}`);
  const order = table.key.map(({ name }) => columnSql(name));
  return { text: `select ${columns.join(', ')} ${from} order by ${order.join(', ')}`, values };
}

export function countItems(table: BulkTable, filter: FilterNode, sourceId: string): Statement {
  const { from, values } = matching(table, filter, sourceId);
  return { text: `select count(*)::text as count ${from}`, values };
}

/** Soft-deleted records are gone as far as customers see, so no filter finds them. */
function matching(table: BulkTable, filter: FilterNode, sourceId: string) {
  const binder = createBinder();
  const { softDelete } = table.resource;
  const conditions = [
    accountSql(table, sourceId, binder),
    ...(softDelete === undefined ? [] : [`${columnSql(softDelete)} is null`]),
    filterSql(filter, table, binder),
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
