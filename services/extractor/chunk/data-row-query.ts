import type pg from 'pg';
import type { SqlQuery } from '../plan/chunk-queries.ts';

/** A query that runs, and hands over each row as the body of PostgreSQL's DataRow message. */
export interface DataRowQuery {
  /** Resolves once all rows were handed over. @throws pg's DatabaseError, or what ended the connection */
  readonly done: Promise<void>;
  /** Stops handing over. The server goes on until all buffers are full, and then waits. */
  pause(): void;
  resume(): void;
  /** Throws away the rows that are still to come. */
  close(): void;
}

/** `onRow` gets the row as `bytes[start, end)`, good until it returns, and must not throw. */
export type RunDataRowQuery = (
  client: pg.Client,
  query: SqlQuery,
  onRow: (bytes: Buffer, start: number, end: number) => void,
) => DataRowQuery;
