import pg from 'pg';
import { tapQuery } from '../../../shared/postgres/internals/data-row-tap.ts';
import { PgRow } from '../../../shared/values/pg-row.ts';
import { SourceSessionLostError } from '../extraction-errors.ts';
import type { SqlQuery } from '../plan/chunk-queries.ts';
import { fetchQuery, type RunDataRowQuery } from './fetched-query.ts';

export interface RowReading {
  /**
   * The number of rows, once all were handed over.
   *
   * @throws pg's DatabaseError, SourceSessionLostError, what `onRow` threw, or the signal's reason
   */
  readonly done: Promise<number>;
  /** Stops handing over. The server goes on until the connection's buffers are full, and then waits. */
  pause(): void;
  resume(): void;
}

/**
 * Reads a query in the open transaction of a connection that nobody else uses until it is done, and hands over each row where its bytes stand; the row is
 * another one as soon as `onRow` returns. Memory is what the socket holds, whatever the size of the result.
 *
 * A reading that fails leaves the connection in the middle of its query: it is of no use afterwards.
 */
export type ReadRows = (
  client: pg.Client,
  query: SqlQuery,
  onRow: (row: PgRow) => void,
  signal: AbortSignal,
) => RowReading;

/** `tuned` reads the connection's bytes; `plain` knows pg by its public interface alone. */
export function createReadRows(reader: 'tuned' | 'plain'): ReadRows {
  const runQuery: RunDataRowQuery = reader === 'tuned' ? tapQuery : fetchQuery;
  return (client, query, onRow, signal) => readRows(runQuery, client, query, onRow, signal);
}

function readRows(
  runQuery: RunDataRowQuery,
  ...[client, query, onRow, signal]: Parameters<ReadRows>
): RowReading {
  const { promise: done, resolve, reject } = Promise.withResolvers<number>();
  const row = new PgRow();
  let rowCount = 0;
  const fail = (error: unknown) => {
    running.close();
    reject(error);
  };
  const running = runQuery(client, query, (bytes, start, end) => {
    try {
      row.read(bytes, start, end);
      onRow(row);
      rowCount += 1;
    } catch (error) {
      fail(error);
    }
  });
  running.done.then(
    () => resolve(rowCount),
    (cause: unknown) =>
      fail(cause instanceof pg.DatabaseError ? cause : new SourceSessionLostError('rows', { cause })),
  );
  // A connection that stands still settles nothing, nor does one that is not read from.
  const onAbort = () => fail(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  const forget = () => signal.removeEventListener('abort', onAbort);
  // Whoever reads awaits it later, after a failure elsewhere perhaps not at all.
  done.then(forget, forget);
  return { done, pause: running.pause, resume: running.resume };
}
