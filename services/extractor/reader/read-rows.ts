import type pg from 'pg';
import QueryStream from 'pg-query-stream';
import { rawTypes } from '../../../shared/postgres/text-session.ts';
import type { SqlQuery } from '../chunk-queries.ts';

/** A row's PostgreSQL texts in the order of the query's columns; null is SQL NULL. */
export type RowFields = (string | null)[];

export interface RowReading {
  /** The number of rows, once all were handed over. @throws what the server or `onRow` threw, or the signal's reason */
  readonly done: Promise<number>;
  /** Stops handing over; no further batch is fetched. */
  pause(): void;
  resume(): void;
}

/**
 * Reads a query through a portal, `batchRows` rows at a time, and hands over each row as texts. No more than two batches are
 * ever in memory, whatever the size of the result.
 */
export function readRows(
  client: pg.Client,
  { text, values }: SqlQuery,
  batchRows: number,
  onRow: (fields: RowFields) => void,
  signal: AbortSignal,
): RowReading {
  const stream = client.query(
    new QueryStream(text, [...values], { batchSize: batchRows, rowMode: 'array', types: rawTypes }),
  );
  const done = new Promise<number>((resolve, reject) => {
    let rowCount = 0;
    stream.on('data', (fields: RowFields) => {
      try {
        onRow(fields);
        rowCount += 1;
      } catch (error) {
        reject(error);
        stream.destroy();
      }
    });
    stream.once('end', () => resolve(rowCount));
    stream.once('error', reject);
    // The stream of a connection that is gone waits for an answer to its farewell, and would never settle.
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  // Whoever reads awaits it later, after a failure elsewhere perhaps not at all.
  done.catch(() => undefined);
  return { done, pause: () => stream.pause(), resume: () => stream.resume() };
}
