import type { Pool } from 'pg';
import pg from 'pg';
import type { BulkTable } from '../../../shared/bulk/bulk-table.ts';
import { countItems, keyOf, selectItems } from '../../../shared/bulk/select-items.ts';
import type { FilterNode } from '../../../shared/domain/bulk-filter.ts';
import { inTransaction } from '../../../shared/postgres/transaction.ts';

/** Time limit of an exact count. After it the planner's estimate is used. */
const COUNT_LIMIT_MS = 1_000;

const QUERY_CANCELED = '57014';

export async function estimateItems(
  source: Pool,
  table: BulkTable,
  filter: FilterNode,
  sourceId: string,
): Promise<number> {
  const { text, values } = countItems(table, filter, sourceId);
  try {
    return await inTransaction(source, async (db) => {
      await db.query(`set local statement_timeout = ${COUNT_LIMIT_MS}`);
      const { rows } = await db.query<{ count: string }>(text, [...values]);
      return Number(rows[0]?.count ?? 0);
    });
  } catch (error) {
    if (!(error instanceof pg.DatabaseError) || error.code !== QUERY_CANCELED) throw error;
  }
  const listing = selectItems(table, filter, sourceId);
  const { rows } = await source.query<{ 'QUERY PLAN': string }>(`explain (format json) ${listing.text}`, [
    ...listing.values,
  ]);
  const [plan] = JSON.parse(rows[0]?.['QUERY PLAN'] ?? '[]') as { Plan: { 'Plan Rows': number } }[];
  return plan?.Plan['Plan Rows'] ?? 0;
}

/** The keys of the first items, in the order of a job. */
export async function firstItems(
  source: Pool,
  table: BulkTable,
  filter: FilterNode,
  sourceId: string,
  limit: number,
): Promise<string[][]> {
  const { text, values } = selectItems(table, filter, sourceId);
  const { rows } = await source.query<Record<string, string | null>>(`${text} limit ${limit}`, [...values]);
  return rows.map((row) => keyOf(table, row));
}
