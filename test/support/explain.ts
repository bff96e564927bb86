import type { Pool, QueryResult } from 'pg';
import type { Queryable } from '../../shared/postgres/queryable.ts';

interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Actual Rows'?: number;
  readonly 'Actual Loops'?: number;
  readonly 'Rows Removed by Filter'?: number;
  readonly Plans?: readonly PlanNode[];
}

/** A database that counts the rows which its statements read from tables, by what the planner's nodes really did. */
export interface ExplainedDatabase {
  /** Each statement runs twice: explained, and for its result. */
  readonly db: Queryable;
  /** Rows read so far from tables whose names begin so, those that a filter dropped included. */
  rowsRead(prefix: string): number;
  /** Names of the tables that were scanned as a whole. */
  readonly scanned: ReadonlySet<string>;
}

export function explaining(pool: Pool): ExplainedDatabase {
  const counts = new Map<string, number>();
  const scanned = new Set<string>();
  const note = (node: PlanNode) => {
    const table = node['Relation Name'];
    if (table !== undefined) {
      const perLoop = (node['Actual Rows'] ?? 0) + (node['Rows Removed by Filter'] ?? 0);
      counts.set(table, (counts.get(table) ?? 0) + perLoop * (node['Actual Loops'] ?? 1));
      if (node['Node Type'] === 'Seq Scan') scanned.add(table);
    }
    for (const child of node.Plans ?? []) note(child);
  };
  const query = async (
    statement: string | { text: string; values?: unknown[] },
    given?: unknown[],
  ): Promise<QueryResult> => {
    const text = typeof statement === 'string' ? statement : statement.text;
    const values = given ?? (typeof statement === 'string' ? [] : (statement.values ?? []));
    const { rows } = await pool.query<{ 'QUERY PLAN': { Plan: PlanNode }[] }>(
      `explain (analyze, format json) ${text}`,
      values,
    );
    for (const { Plan } of rows[0]?.['QUERY PLAN'] ?? []) note(Plan);
    return pool.query(text, values);
  };
  return {
    db: { query } as unknown as Queryable,
    rowsRead: (prefix) =>
      [...counts].reduce((sum, [table, rows]) => (table.startsWith(prefix) ? sum + rows : sum), 0),
    scanned,
  };
}
