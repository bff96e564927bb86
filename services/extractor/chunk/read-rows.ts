import pg from 'pg';
import { PgRow } from '../../../shared/values/pg-row.ts';
import { SourceSessionLostError } from '../extraction-errors.ts';
import type { SqlQuery } from '../plan/chunk-queries.ts';
import { tapDataRows } from './data-row-tap.ts';

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
 * Reads a query on a connection that nobody else uses meanwhile, and hands over each row where its bytes stand; the row is
 * another one as soon as `onRow` returns. Memory is what the socket holds, whatever the size of the result.
 *
 * A reading that fails leaves the connection in the middle of its query: it is of no use afterwards.
 */
export function readRows(
  client: pg.Client,
  { text, values }: SqlQuery,
  onRow: (row: PgRow) => void,
  signal: AbortSignal,
): RowReading {
  const { promise: done, resolve, reject } = Promise.withResolvers<number>();
  const row = new PgRow();
  let rowCount = 0;
  const fail = (error: unknown) => {
    tap.close();
    reject(error);
  };
  const tap = tapDataRows(client.connection.stream, (bytes, start, end) => {
    try {
      row.read(bytes, start, end);
      onRow(row);
      rowCount += 1;
    } catch (error) {
      fail(error);
    }
  });
  client.query(text, [...values]).then(
    () => {
      tap.release();
      resolve(rowCount);
    },
    (cause: unknown) => {
      tap.release();
      fail(cause instanceof pg.DatabaseError ? cause : new SourceSessionLostError('rows', { cause }));
    },
  );
  // A connection that stands still settles nothing, nor does one that is not read from.
  const onAbort = () => fail(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  const forget = () => signal.removeEventListener('abort', onAbort);
  // Whoever reads awaits it later, after a failure elsewhere perhaps not at all.
  done.then(forget, forget);
  return { done, pause: tap.pause, resume: tap.resume };
}
