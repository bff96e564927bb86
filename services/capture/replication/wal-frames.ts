import type { Lsn } from '../../../shared/domain/lsn.ts';

// The frames inside CopyData of a streaming replication connection; see "Streaming Replication Protocol" in
// PostgreSQL's manual. All numbers are big-endian, times are microseconds since 2000-01-01 UTC.

/** From 1970-01-01 to 2000-01-01, PostgreSQL's epoch. */
const EPOCH_OFFSET_MICROS = 946_684_800_000_000n;

const XLOG_DATA = 0x77;
const KEEPALIVE = 0x6b;
const STATUS_UPDATE = 0x72;
const XLOG_DATA_HEADER_BYTES = 25;
const STATUS_UPDATE_BYTES = 34;
/** CopyData, the message that carries frames in both directions: a letter, then the length. */
const COPY_DATA = 0x64;
const COPY_DATA_LENGTH_BYTES = 4;

export type WalFrame =
  /** `payload` is a view into the connection's buffer, which is used again: read it before returning to the event loop. */
  | { readonly kind: 'data'; readonly lsn: Lsn; readonly payload: Buffer }
  /** Everything before `walEnd` has been sent. */
  | { readonly kind: 'keepalive'; readonly walEnd: Lsn; readonly isReplyRequested: boolean };

/** @throws RangeError for a frame that no PostgreSQL sends */
export function readWalFrame(chunk: Buffer): WalFrame {
  switch (chunk[0]) {
    case XLOG_DATA:
      return {
        kind: 'data',
        lsn: chunk.readBigUInt64BE(1),
        payload: chunk.subarray(XLOG_DATA_HEADER_BYTES),
      };
    case KEEPALIVE:
      return {
        kind: 'keepalive',
        walEnd: chunk.readBigUInt64BE(1),
        isReplyRequested: chunk.readUInt8(17) === 1,
      };
    default:
      throw new RangeError(`unknown replication frame 0x${(chunk[0] ?? 0).toString(16)}`);
  }
}

export interface StatusUpdate {
  /** Everything before this was received. */
  readonly written: Lsn;
  /** Everything before this is durable here, so the server may remove it. */
  readonly flushed: Lsn;
  /** Requests a keepalive at once, which shows the server's position and that it is alive. */
  readonly isReplyRequested: boolean;
}

/** The complete message for the socket. */
export function writeStatusUpdate(
  { written, flushed, isReplyRequested }: StatusUpdate,
  nowMs: number,
): Buffer {
  const message = Buffer.alloc(1 + COPY_DATA_LENGTH_BYTES + STATUS_UPDATE_BYTES);
  message.writeUInt8(COPY_DATA, 0);
  message.writeUInt32BE(COPY_DATA_LENGTH_BYTES + STATUS_UPDATE_BYTES, 1);
  message.writeUInt8(STATUS_UPDATE, 5);
  message.writeBigUInt64BE(written, 6);
  message.writeBigUInt64BE(flushed, 14);
  // Applied: a client that stores what it receives reports the same as flushed.
  message.writeBigUInt64BE(flushed, 22);
  message.writeBigInt64BE(BigInt(Math.trunc(nowMs)) * 1_000n - EPOCH_OFFSET_MICROS, 30);
  message.writeUInt8(isReplyRequested ? 1 : 0, 38);
  return message;
}

export function toUnixMicros(pgMicros: bigint): bigint {
  return pgMicros + EPOCH_OFFSET_MICROS;
}
