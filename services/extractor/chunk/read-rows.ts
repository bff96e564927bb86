import type pg from 'pg';
import { tapQuery } from '../../../shared/postgres/internals/data-row-tap.ts';
import { PgRow } from '../../../shared/values/pg-row.ts';
import { toSourceError } from '../extraction-errors.ts';
import type { SqlQuery } from '../plan/row-selection.ts';

export interface RowReading {
  /**
   * The number of rows, once all were handed over.
   *
   * @throws pg's DatabaseError, SourceSessionLostError, what `onRow` threw, or the signal's reason
   */
  readonly done: Promise<number>;
  /** Stops passing rows. The server continues until the connection's buffers are full, and then waits. */
  pause(): void;
  resume(): void;
}

/**
 * Runs a query in the open transaction of a connection, which nothing else may use until it is done. Passes each row as
 * its raw bytes, which are valid only until `onRow` returns. Memory is bounded by the socket's buffers, whatever the
 * size of the result.
 *
 * After a failure the connection is in the middle of its query and must be closed.
 */
export type ReadRows = (
  client: pg.Client,
  query: SqlQuery,
  onRow: (row: PgRow) => void,
  signal: AbortSignal,
) => RowReading;

/** `tuned` reads the connection's bytes; `plain` uses only pg's public interface. */
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
    (cause: unknown) => fail(toSourceError('rows', cause)),
  );
  // A connection without traffic, or one that is not read from, settles nothing by itself.
  const onAbort = () => fail(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  const forget = () => signal.removeEventListener('abort', onAbort);
  // The caller awaits it later, or never after a failure elsewhere.
  done.then(forget, forget);
  return { done, pause: running.pause, resume: running.resume };
}

/** A running query that passes each row as the body of PostgreSQL's DataRow message. */
export interface DataRowQuery {
  /** Resolves once all rows were passed. @throws pg's DatabaseError, or what ended the connection */
  readonly done: Promise<void>;
  /** Stops passing rows. The server continues until all buffers are full, and then waits. */
  pause(): void;
  resume(): void;
  /** Discards the remaining rows. */
  close(): void;
}

/** `onRow` gets the row as `bytes[start, end)`, valid until it returns, and must not throw. */
export type RunDataRowQuery = (
  client: pg.Client,
  query: SqlQuery,
  onRow: (bytes: Buffer, start: number, end: number) => void,
) => DataRowQuery;

/** Rows per fetch. Bounds memory whatever the size of the result. */
const ROWS_AT_ONCE = 500;

/** A session runs one query at a time. */
const CURSOR = 'tandem_rows';

const COUNT_BYTES = 2;
const LENGTH_BYTES = 4;
const NULL_LENGTH = -1;

/**
 * Runs a query by pg's public interface: a cursor in the open transaction, whose texts are encoded again as in the
 * protocol. Between two fetches the server sees an idle transaction, and ends that of a process that froze. It would
 * not end a suspended portal of the extended protocol.
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
    // While it is paused no statement runs that would fail with the connection.
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
  // All rows are wanted. Without this the planner prefers the plan that returns the first tenth soonest.
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
