import pg from 'pg';
import { tapQuery } from '../../../shared/postgres/internals/data-row-tap.ts';
import { PgRow } from '../../../shared/values/pg-row.ts';
import { SourceSessionLostError } from '../extraction-errors.ts';
import type { SqlQuery } from '../plan/row-selection.ts';

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

/** Rows that the server sends at once, so that memory stays small whatever the size of the result. */
const ROWS_AT_ONCE = 500;

/** A session runs one query at a time. */
const CURSOR = 'tandem_rows';

const COUNT_BYTES = 2;
const LENGTH_BYTES = 4;
const NULL_LENGTH = -1;

/**
 * A query by pg's public interface alone: a cursor in the transaction that is open, whose texts are written again as the protocol
 * had them. Between two fetches the server sees an idle transaction and ends that of a process that froze, which it does
 * not for a portal of the extended protocol that is only suspended.
 */
const fetchQuery: RunDataRowQuery = (client, query, onRow) => {
  let isClosed = false;
  let room = Promise.withResolvers<void>();
  room.resolve();

  const handOver = async (): Promise<void> => {
    await declare(client, query);
    for (;;) {
      const { rows } = await client.query<(string | null)[]>({
        text: `fetch ${ROWS_AT_ONCE} from ${CURSOR}`,
        rowMode: 'array',
      });
      for (const row of rows) {
        await room.promise;
        if (isClosed) return;
        const bytes = toDataRow(row);
        onRow(bytes, 0, bytes.length);
      }
      if (rows.length < ROWS_AT_ONCE) break;
    }
    await client.query(`close ${CURSOR}`);
  };

  const lost = Promise.withResolvers<never>();
  const onEnd = () => lost.reject(new Error('the connection has ended'));
  client.once('end', onEnd);
  return {
    // While it is paused no statement runs that could fail with the connection.
    done: Promise.race([handOver(), lost.promise]).finally(() => client.off('end', onEnd)),
    pause() {
      room = Promise.withResolvers();
    },
    resume: () => room.resolve(),
    close() {
      isClosed = true;
      room.resolve();
    },
  };
};

async function declare(client: pg.Client, { text, values }: SqlQuery): Promise<void> {
  // All rows are wanted: without this the plan is the one that has the first tenth soonest.
  await client.query('set local cursor_tuple_fraction = 1');
  await client.query(`declare ${CURSOR} no scroll cursor for ${text}`, [...values]);
}

function toDataRow(texts: readonly (string | null)[]): Buffer {
  const lengths = texts.map((text) => (text === null ? NULL_LENGTH : Buffer.byteLength(text)));
  const textBytes = lengths.reduce((sum, length) => sum + Math.max(0, length), 0);
  const bytes = Buffer.allocUnsafe(COUNT_BYTES + texts.length * LENGTH_BYTES + textBytes);
  let at = bytes.writeUInt16BE(texts.length, 0);
  for (const [index, text] of texts.entries()) {
    at = bytes.writeInt32BE(lengths[index] ?? NULL_LENGTH, at);
    if (text !== null) at += bytes.write(text, at, 'utf8');
  }
  return bytes;
}
