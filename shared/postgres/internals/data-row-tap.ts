import type { EventEmitter } from 'node:events';
import type pg from 'pg';

const DATA_ROW = 0x44;
const TYPE_BYTES = 1;
/** A letter, and the length from there on. */
const HEADER_BYTES = 5;

/** Where a connection's bytes come from: its socket. */
export interface ByteSource extends Pick<EventEmitter, 'on' | 'off' | 'listeners'> {
  pause(): unknown;
  resume(): unknown;
}

export interface DataRowTap {
  /** Rows that come from now on are kept waiting, at the server in the end. */
  pause(): void;
  resume(): void;
  /** Rows that come from now on are thrown away. */
  close(): void;
  /** Puts the connection back as it was. To be called between two queries. */
  release(): void;
}

/**
 * Takes the rows out of what a connection receives, and hands everything else to those who listened to it before. The
 * library makes an object and a string for every value of a row; here `onRow` gets the body of each DataRow message as
 * `bytes[start, end)`, good until it returns. No more than what the socket gives at once is held, and one row that came
 * in pieces.
 *
 * `onRow` must not throw.
 */
export function tapDataRows(
  source: ByteSource,
  onRow: (bytes: Buffer, start: number, end: number) => void,
): DataRowTap {
  const others = source.listeners('data') as ((bytes: Buffer) => void)[];
  /** Of an unfinished message, in their order; put together once it is whole. */
  let pieces: Buffer[] = [];
  let pieceBytes = 0;
  let neededBytes = HEADER_BYTES;
  let isPaused = false;
  let isClosed = false;

  /** Handles the whole messages, up to one that asks for a pause. @returns how far it has come */
  function scan(bytes: Buffer): number {
    let at = 0;
    while (!isPaused && at + HEADER_BYTES <= bytes.length) {
      const end = at + TYPE_BYTES + bytes.readUInt32BE(at + TYPE_BYTES);
      if (end > bytes.length) {
        neededBytes = end - at;
        break;
      }
      if (bytes[at] !== DATA_ROW) {
        const message = bytes.subarray(at, end);
        for (const listener of others) listener(message);
      } else if (!isClosed) {
        onRow(bytes, at + HEADER_BYTES, end);
      }
      at = end;
    }
    return at;
  }

  function receive(chunk: Buffer): void {
    pieces.push(chunk);
    pieceBytes += chunk.length;
    if (!isPaused && pieceBytes >= neededBytes) scanPieces();
  }

  function scanPieces(): void {
    const bytes = pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces, pieceBytes);
    neededBytes = HEADER_BYTES;
    const rest = bytes.subarray(scan(bytes));
    pieces = rest.length === 0 ? [] : [rest];
    pieceBytes = rest.length;
  }

  for (const listener of others) source.off('data', listener);
  source.on('data', receive);
  return {
    pause() {
      isPaused = true;
      source.pause();
    },
    resume() {
      if (!isPaused) return;
      isPaused = false;
      scanPieces();
      if (!isPaused) source.resume();
    },
    close() {
      isClosed = true;
    },
    release() {
      source.off('data', receive);
      for (const listener of others) source.on('data', listener);
      // The beginning of the message after the last one may have come with it.
      if (isPaused || pieceBytes === 0) return;
      const rest = Buffer.concat(pieces, pieceBytes);
      for (const listener of others) listener(rest);
    },
  };
}

/** As `DataRowQuery` of the extractor: the rows of a query where their bytes stand, before the library makes objects of them. */
export function tapQuery(
  client: pg.Client,
  { text, values }: { readonly text: string; readonly values: readonly unknown[] },
  onRow: (bytes: Buffer, start: number, end: number) => void,
) {
  const tap = tapDataRows(client.connection.stream, onRow);
  const done = client.query(text, [...values]).then(
    () => tap.release(),
    (error: unknown) => {
      tap.release();
      throw error;
    },
  );
  return { done, pause: tap.pause, resume: tap.resume, close: tap.close };
}
