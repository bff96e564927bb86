import pg, { type Pool, type PoolClient, type QueryResult } from 'pg';
import type { Queryable } from '../../shared/postgres/queryable.ts';

interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Actual Rows'?: number;
  readonly 'Actual Loops'?: number;
  readonly 'Rows Removed by Filter'?: number;
  readonly 'Rows Removed by Join Filter'?: number;
  readonly Plans?: readonly PlanNode[];
}

interface PlanRow {
  readonly 'QUERY PLAN': readonly { readonly Plan: PlanNode }[];
}

const EXPLAIN = 'explain (analyze, format json)';

/** A database that counts the rows which its statements read from tables, by what the planner's nodes really did. */
export interface ExplainedDatabase {
  /** Each statement runs twice: explained, and for its result. */
  readonly db: Queryable;
  /** Rows read so far from tables whose names begin so, those that a filter dropped included. */
  rowsRead(prefix: string): number;
  /** Pairs of rows that joins compared so far, and that did not belong together. */
  readonly pairsDropped: number;
  /** Names of the tables that were scanned as a whole. */
  readonly scanned: ReadonlySet<string>;
}

export function explaining(pool: Pool): ExplainedDatabase {
  const counts = new Map<string, number>();
  const scanned = new Set<string>();
  let pairsDropped = 0;
  const note = (node: PlanNode) => {
    const table = node['Relation Name'];
    if (table !== undefined) {
      const perLoop = (node['Actual Rows'] ?? 0) + (node['Rows Removed by Filter'] ?? 0);
      counts.set(table, (counts.get(table) ?? 0) + perLoop * (node['Actual Loops'] ?? 1));
      if (node['Node Type'] === 'Seq Scan') scanned.add(table);
    }
    pairsDropped += (node['Rows Removed by Join Filter'] ?? 0) * (node['Actual Loops'] ?? 1);
    for (const child of node.Plans ?? []) note(child);
  };
  const query = async (
    statement: string | { name?: string; text: string; values?: unknown[] },
    given?: unknown[],
  ): Promise<QueryResult> => {
    const {
      name,
      text,
      values = given ?? [],
    } = typeof statement === 'string' ? { text: statement } : statement;
    const plans =
      name === undefined ? pool.query(`${EXPLAIN} ${text}`, values) : explainNamed(pool, text, values);
    for (const { 'QUERY PLAN': roots } of (await plans).rows as PlanRow[]) {
      for (const { Plan } of roots) note(Plan);
    }
    return pool.query(text, values);
  };
  return {
    db: { query } as unknown as Queryable,
    rowsRead: (prefix) =>
      [...counts].reduce((sum, [table, rows]) => (table.startsWith(prefix) ? sum + rows : sum), 0),
    get pairsDropped() {
      return pairsDropped;
    },
    scanned,
  };
}

/** A statement with a name is planned once for all its values, after a few runs. So this is the plan that counts. */
async function explainNamed(pool: Pool, text: string, values: readonly unknown[]): Promise<QueryResult> {
  const client = await pool.connect();
  try {
    await client.query('set plan_cache_mode = force_generic_plan');
    await client.query(`prepare explained as ${text}`);
    const literals = values.map((value) => toLiteral(client, value));
    return await client.query(`${EXPLAIN} execute explained ${literals.length > 0 ? `(${literals})` : ''}`);
  } finally {
    client.release(true);
  }
}

/** How the client itself sends a value. Its types leave this out. */
const { prepareValue } = (pg as unknown as { utils: { prepareValue(value: unknown): unknown } }).utils;

function toLiteral(client: PoolClient, value: unknown): string {
  const text = prepareValue(value);
  return text === null ? 'null' : client.escapeLiteral(String(text));
}
