import { DuckDBInstance } from '@duckdb/node-api';

/** Rows of a query in a DuckDB of its own, every value as DuckDB's text of it. */
export async function queryDuckdb(sql: string): Promise<(string | null)[][]> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
  const connection = await instance.connect();
  try {
    await connection.run(`SET TimeZone = 'UTC'`);
    const result = await connection.runAndReadAll(`select columns(*)::varchar from (${sql})`);
    return result.getRowsJson() as (string | null)[][];
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}
