import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';

/** The least rate at which a client must read a response. */
export interface ReaderLimits {
  readonly leastBytesPerSecond: number;
  /** Period of the measurement. Only time spent waiting for the client counts. */
  readonly windowMs: number;
  readonly checkEveryMs: number;
}

/** The rate of a modem. A slower client holds a connection, and a file or a body, for nothing. */
export const READER_LIMITS: ReaderLimits = {
  leastBytesPerSecond: 4_096,
  windowMs: 30_000,
  checkEveryMs: 5_000,
};

/**
 * Ends a response whose client stops or drips, so that its connection, and what it is sent, are free for others. A
 * broken download can be resumed. It may be called before the response begins, and for several on one connection.
 */
export function dropSlowReader(
  response: ServerResponse,
  { leastBytesPerSecond, windowMs, checkEveryMs }: ReaderLimits,
): void {
  // Of the request: a response has none while one before it on its connection is sent.
  const { socket } = response.req;
  // The client may have left while the response was prepared; its `close` event is over then.
  if (socket.destroyed || response.closed) return;
  const taken = () => socket.bytesWritten - socket.writableLength;
  let waitedMs = 0;
  let from = taken();
  const timer = setInterval(() => {
    // A response that never had its turn has no `close` event.
    if (socket.destroyed) return clearInterval(timer);
    const isWaiting = response.writableNeedDrain || socket.writableLength > 0;
    if (!isWaiting) {
      waitedMs = 0;
      from = taken();
      return;
    }
    waitedMs += checkEveryMs;
    if (waitedMs < windowMs) return;
    if (taken() - from < (leastBytesPerSecond * waitedMs) / 1_000) socket.destroy();
    waitedMs = 0;
    from = taken();
  }, checkEveryMs);
  response.once('close', () => clearInterval(timer));
}

/** As large as those of files. */
const PIECE_BYTES = 65_536;

/** A text as a stream of pieces: a socket tells that a client has taken a piece, and not how much of it. */
export function inPieces(bytes: Buffer): Readable {
  const count = Math.ceil(bytes.length / PIECE_BYTES);
  return Readable.from(
    Array.from({ length: count }, (_, index) =>
      bytes.subarray(index * PIECE_BYTES, (index + 1) * PIECE_BYTES),
    ),
  );
}

/** Whether a text is sent in pieces. @param text counted in characters, of which none takes less than a byte */
export function isLarge(text: string): boolean {
  return text.length > PIECE_BYTES;
}
