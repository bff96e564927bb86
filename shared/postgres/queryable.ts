import type { QueryConfig, QueryResult, QueryResultRow } from 'pg';

/**
 * What runs a query: a `pg.Pool`, a `pg.Client` or a client checked out of a pool. Who needs a transaction
 * or session settings must be given one client, because a pool runs each query on any of its connections.
 */
export interface Queryable {
  query<Row extends QueryResultRow = QueryResultRow>(
    query: string | QueryConfig,
    values?: unknown[],
  ): Promise<QueryResult<Row>>;
}
