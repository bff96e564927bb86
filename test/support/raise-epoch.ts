import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Places in `pg_control` and in the checkpoint that it holds a copy of, of PostgreSQL 15 to 18. */
const CHECKPOINT_LSN_AT = 32;
const CHECKPOINT_COPY_AT = 40;
const NEXT_XID_IN_CHECKPOINT = 24;
const RECORD_HEADER_BYTES = 24;
const RECORD_CRC_AT = 20;
/** Of a record's one piece of data: what kind it is, and its length. */
const DATA_HEADER_BYTES = 2;
const SEGMENT_BYTES = 16n * 1024n * 1024n;
const PAGE_BYTES = 8_192;

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

function crc32c(...parts: readonly Buffer[]): number {
  let crc = 0xffffffff;
  for (const part of parts) {
    for (const byte of part) crc = (crc >>> 8) ^ (CRC_TABLE[(crc ^ byte) & 0xff] ?? 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

/**
 * Lets a server that was stopped in order go on with transaction IDs past 2^32, as one that has been used for years:
 * what `pg_resetwal -e` does, which is not among the server's programs here. The next ID stands in the last checkpoint,
 * in the WAL and in `pg_control`.
 */
export function raiseEpoch(dataDirectory: string): void {
  const controlPath = join(dataDirectory, 'global', 'pg_control');
  const control = readFileSync(controlPath);
  const lsn = control.readBigUInt64LE(CHECKPOINT_LSN_AT);
  const walPath = join(dataDirectory, 'pg_wal', segmentName(dataDirectory, lsn));
  const wal = readFileSync(walPath);
  const at = Number(lsn % SEGMENT_BYTES);
  const record = wal.subarray(at, at + wal.readUInt32LE(at));
  if ((at % PAGE_BYTES) + record.length > PAGE_BYTES) throw new Error('the checkpoint lies on two pages');

  raise(record, RECORD_HEADER_BYTES + DATA_HEADER_BYTES + NEXT_XID_IN_CHECKPOINT);
  const recordCrc = crc32c(record.subarray(RECORD_HEADER_BYTES), record.subarray(0, RECORD_CRC_AT));
  record.writeUInt32LE(recordCrc, RECORD_CRC_AT);
  writeFileSync(walPath, wal);

  const crcAt = findCrc(control);
  raise(control, CHECKPOINT_COPY_AT + NEXT_XID_IN_CHECKPOINT);
  control.writeUInt32LE(crc32c(control.subarray(0, crcAt)), crcAt);
  writeFileSync(controlPath, control);
}

function raise(buffer: Buffer, at: number): void {
  buffer.writeBigUInt64LE(buffer.readBigUInt64LE(at) + (1n << 32n), at);
}

function segmentName(dataDirectory: string, lsn: bigint): string {
  const segment = lsn / SEGMENT_BYTES;
  const hex = (part: bigint) => part.toString(16).toUpperCase().padStart(8, '0');
  const suffix = hex(segment / 256n) + hex(segment % 256n);
  const name = readdirSync(join(dataDirectory, 'pg_wal')).find((each) => each.endsWith(suffix));
  if (name === undefined) throw new Error(`the WAL segment of ${lsn} is not there`);
  return name;
}

/** It follows the last field, whose place differs between versions. */
function findCrc(control: Buffer): number {
  for (let at = CHECKPOINT_COPY_AT; at < 512; at += 4) {
    if (crc32c(control.subarray(0, at)) === control.readUInt32LE(at)) return at;
  }
  throw new Error('pg_control has no checksum where one is known to be');
}
