import pg from 'pg';
import type { SqlQuery } from '../chunk-queries.ts';

/** A row's PostgreSQL texts in the order of the query's columns; null is SQL NULL. */
export type RowFields = (string | null)[];

export interface RowReading {
  /** The number of rows, once all were handed over. @throws what the server or `onRow` threw */
  readonly done: Promise<number>;
  /** Stops taking rows from the socket, so that the server waits. Rows already received still come. */
  pause(): void;
  resume(): void;
}

/**
 * Hands over rows as they come off the socket, with nothing in between: no row objects, no array of a result, no
 * round trip a batch. Memory is flat because a paused socket stops the server itself, whatever the rows' size.
 */
export function readRows(client: pg.Client, query: SqlQuery, onRow: (fields: RowFields) => void): RowReading {
  const { stream } = client.connection;
  const reading = new RowQuery(query, onRow, () => stream.destroy());
  client.query(reading);
  return {
    done: reading.done,
    pause: () => stream.pause(),
    resume: () => stream.resume(),
  };
}

/** pg's own query takes the protocol's steps; only what it does with a row is replaced. */
class RowQuery extends pg.Query {
  readonly done: Promise<number>;
  readonly #onRow: (fields: RowFields) => void;
  readonly #stop: () => void;
  #rowCount = 0;
  #failure: { error: unknown } | undefined;

  constructor({ text, values }: SqlQuery, onRow: (fields: RowFields) => void, stop: () => void) {
    super({ text, values: [...values] });
    this.#onRow = onRow;
    this.#stop = stop;
    this.done = new Promise((resolve, reject) => {
      this.on('end', () => resolve(this.#rowCount));
      this.on('error', (error: Error) => reject(this.#failure === undefined ? error : this.#failure.error));
    });
    // Whoever reads awaits it later, after a failure elsewhere perhaps not at all.
    this.done.catch(() => undefined);
  }

  handleDataRow({ fields }: { fields: RowFields }): void {
    if (this.#failure !== undefined) return;
    try {
      this.#onRow(fields);
      this.#rowCount += 1;
    } catch (error) {
      // There is no other way to make the server stop sending.
      this.#failure = { error };
      this.#stop();
    }
  }
}
