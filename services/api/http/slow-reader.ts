import type { Server } from 'node:http';
import type { Socket } from 'node:net';
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

interface Waiting {
  ms: number;
  /** Bytes that the client had taken when the wait began. */
  takenBefore: number;
}

/**
 * Closes the connection of a client that reads a response too slowly, because it holds a connection and memory. A broken
 * download can be resumed. This applies to every response: even small ones wait when a client sends many requests and reads
 * no response.
 */
export function dropSlowReaders(
  server: Server,
  { leastBytesPerSecond, windowMs, checkEveryMs }: ReaderLimits,
): void {
  const open = new Set<Socket>();
  const waiting = new Map<Socket, Waiting>();
  server.on('connection', (socket) => {
    open.add(socket);
    socket.once('close', () => {
      open.delete(socket);
      waiting.delete(socket);
    });
  });
  const check = (socket: Socket) => {
    if (socket.writableLength === 0) {
      waiting.delete(socket);
      return;
    }
    const taken = socket.bytesWritten - socket.writableLength;
    const known = waiting.get(socket);
    if (known === undefined) {
      waiting.set(socket, { ms: 0, takenBefore: taken });
      return;
    }
    known.ms += checkEveryMs;
    if (known.ms < windowMs) return;
    if (taken - known.takenBefore < (leastBytesPerSecond * known.ms) / 1_000) socket.destroy();
    known.ms = 0;
    known.takenBefore = taken;
  };
  // One timer for all connections. With one for each response, every response would start and stop a timer.
  const timer = setInterval(() => {
    for (const socket of open) check(socket);
  }, checkEveryMs).unref();
  server.once('close', () => clearInterval(timer));
}

/** As large as the pieces that files are sent in. */
const PIECE_BYTES = 65_536;

/** Bytes as a stream of pieces. A socket reports when a client has taken a piece, but not how much of it so far. */
export function inPieces(bytes: Buffer): Readable {
  const count = Math.ceil(bytes.length / PIECE_BYTES);
  return Readable.from(
    Array.from({ length: count }, (_, index) =>
      bytes.subarray(index * PIECE_BYTES, (index + 1) * PIECE_BYTES),
    ),
  );
}

/** Whether a text is so large that it is sent in pieces. It counts characters, each of which takes at least a byte. */
export function isLarge(text: string): boolean {
  return text.length > PIECE_BYTES;
}
