import { rm } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { deflateInParallel } from '../../../shared/formats/compression.ts';
import type { Bytes, EncodeContext } from '../../../shared/formats/format.ts';
import { readSpooled, spoolBytes } from '../../../shared/formats/spool.ts';

/** One file in an archive. */
export interface ZipMember {
  readonly name: string;
  readonly bytes: Bytes;
  /** Stored without compression, because it is compressed already. */
  readonly isStored: boolean;
}

/**
 * A zip archive, in the 64-bit form where it is too large for the other. The next member is requested after the
 * previous one is complete, so it may depend on earlier ones.
 *
 * Each member waits on the local disk until its checksum and sizes are known, because they precede its bytes: readers
 * that stream an archive can't handle a stored member whose sizes come after it.
 *
 * @throws what a member's bytes or the list of members throw; the signal's reason once it aborts
 */
export async function* zip(
  members: AsyncIterable<ZipMember>,
  { signal, scratchPath }: EncodeContext,
): AsyncGenerator<Buffer> {
  const entries: ZipEntry[] = [];
  let offset = 0;
  for await (const member of members) {
    const path = await scratchPath('zip-member');
    try {
      const entry = { ...(await spoolMember(member, path, signal)), offset };
      const header = localHeader(entry);
      yield header;
      yield* readSpooled(path, signal);
      entries.push(entry);
      offset += header.length + entry.storedSize;
    } finally {
      await rm(path, { force: true });
    }
  }
  let centralSize = 0;
  for (const entry of entries) {
    const header = centralHeader(entry);
    yield header;
    centralSize += header.length;
  }
  yield endOfCentral(entries.length, centralSize, offset);
}

async function spoolMember(
  { name, bytes, isStored }: ZipMember,
  path: string,
  signal: AbortSignal,
): Promise<Omit<ZipEntry, 'offset'>> {
  let checksum = 0;
  let size = 0;
  async function* measured(): AsyncGenerator<Buffer> {
    for await (const piece of bytes) {
      checksum = crc32(piece, checksum);
      size += piece.length;
      yield piece;
    }
  }
  const content = isStored ? measured() : deflateInParallel(measured());
  const storedSize = await spoolBytes(content, path, signal);
  return { name, isDeflated: !isStored, crc32: checksum, size, storedSize };
}

/** One member as the archive's records describe it. All values are known before its first byte is written. */
export interface ZipEntry {
  readonly name: string;
  readonly isDeflated: boolean;
  /** CRC-32 of the content. */
  readonly crc32: number;
  /** Bytes of the content. */
  readonly size: number;
  /** Bytes in the archive. */
  readonly storedSize: number;
  /** Offset of its local header. */
  readonly offset: number;
}

const LOCAL_HEADER = 0x04034b50;
const CENTRAL_HEADER = 0x02014b50;
const END_OF_CENTRAL = 0x06054b50;
const ZIP64_END_OF_CENTRAL = 0x06064b50;
const ZIP64_END_LOCATOR = 0x07064b50;
const ZIP64_EXTRA = 1;

/** The largest values of the plain records. A field with one of them refers to its 64-bit form. */
const MAX_32 = 0xffffffff;
const MAX_16 = 0xffff;

const STORED = 0;
const DEFLATED = 8;
const VERSION_PLAIN = 20;
const VERSION_ZIP64 = 45;
/** Names are UTF-8 (APPNOTE 4.4.4, bit 11). Bit 3, sizes behind the data, is never set. */
const FLAGS = 1 << 11;
/** 1 January 1980, the format's earliest date, so that the archive's bytes depend only on its content. */
const DOS_DATE = (1 << 5) | 1;
const DOS_TIME = 0;
const MADE_ON_UNIX = 3 << 8;
/** A regular file that everybody may read; Unix attributes are in the upper half. */
const FILE_ATTRIBUTES = (0o100644 << 16) >>> 0;

const is64 = (number: number) => number >= MAX_32;

/** The header before a member's bytes (APPNOTE 4.3.7). */
export function localHeader(entry: ZipEntry): Buffer {
  const { size, storedSize } = entry;
  // The 64-bit form needs both sizes, even when only one of them is too large (4.5.3).
  const extra = is64(size) || is64(storedSize) ? zip64Extra([size, storedSize]) : Buffer.alloc(0);
  const name = Buffer.from(entry.name);
  const header = Buffer.alloc(30);
  header.writeUInt32LE(LOCAL_HEADER, 0);
  writeCommon(header, 4, entry, extra.length > 0);
  header.writeUInt16LE(name.length, 26);
  header.writeUInt16LE(extra.length, 28);
  return Buffer.concat([header, name, extra]);
}

/** A member's record in the central directory (APPNOTE 4.3.12). */
export function centralHeader(entry: ZipEntry): Buffer {
  const { size, storedSize, offset } = entry;
  const hasLargeSize = is64(size) || is64(storedSize);
  const large = [...(hasLargeSize ? [size, storedSize] : []), ...(is64(offset) ? [offset] : [])];
  const extra = large.length > 0 ? zip64Extra(large) : Buffer.alloc(0);
  const name = Buffer.from(entry.name);
  const header = Buffer.alloc(46);
  header.writeUInt32LE(CENTRAL_HEADER, 0);
  header.writeUInt16LE(MADE_ON_UNIX | VERSION_ZIP64, 4);
  writeCommon(header, 6, entry, hasLargeSize, large.length > 0);
  header.writeUInt16LE(name.length, 28);
  header.writeUInt16LE(extra.length, 30);
  header.writeUInt32LE(FILE_ATTRIBUTES, 38);
  header.writeUInt32LE(Math.min(offset, MAX_32), 42);
  return Buffer.concat([header, name, extra]);
}

/** The end of the archive (APPNOTE 4.3.14 to 4.3.16). If needed, the 64-bit records come before the plain one. */
export function endOfCentral(entryCount: number, centralSize: number, centralOffset: number): Buffer {
  const end = Buffer.alloc(22);
  end.writeUInt32LE(END_OF_CENTRAL, 0);
  end.writeUInt16LE(Math.min(entryCount, MAX_16), 8);
  end.writeUInt16LE(Math.min(entryCount, MAX_16), 10);
  end.writeUInt32LE(Math.min(centralSize, MAX_32), 12);
  end.writeUInt32LE(Math.min(centralOffset, MAX_32), 16);
  if (entryCount < MAX_16 && !is64(centralSize) && !is64(centralOffset)) return end;
  const end64 = Buffer.alloc(56);
  end64.writeUInt32LE(ZIP64_END_OF_CENTRAL, 0);
  // The size of the record without its first twelve bytes.
  end64.writeBigUInt64LE(44n, 4);
  end64.writeUInt16LE(MADE_ON_UNIX | VERSION_ZIP64, 12);
  end64.writeUInt16LE(VERSION_ZIP64, 14);
  end64.writeBigUInt64LE(BigInt(entryCount), 24);
  end64.writeBigUInt64LE(BigInt(entryCount), 32);
  end64.writeBigUInt64LE(BigInt(centralSize), 40);
  end64.writeBigUInt64LE(BigInt(centralOffset), 48);
  const locator = Buffer.alloc(20);
  locator.writeUInt32LE(ZIP64_END_LOCATOR, 0);
  locator.writeBigUInt64LE(BigInt(centralOffset + centralSize), 8);
  locator.writeUInt32LE(1, 16);
  return Buffer.concat([end64, locator, end]);
}

/** The fields from version to sizes, which local and central records share. */
function writeCommon(
  header: Buffer,
  at: number,
  entry: ZipEntry,
  hasLargeSize: boolean,
  isZip64 = hasLargeSize,
) {
  header.writeUInt16LE(isZip64 ? VERSION_ZIP64 : VERSION_PLAIN, at);
  header.writeUInt16LE(FLAGS, at + 2);
  header.writeUInt16LE(entry.isDeflated ? DEFLATED : STORED, at + 4);
  header.writeUInt16LE(DOS_TIME, at + 6);
  header.writeUInt16LE(DOS_DATE, at + 8);
  header.writeUInt32LE(entry.crc32, at + 10);
  header.writeUInt32LE(hasLargeSize ? MAX_32 : entry.storedSize, at + 14);
  header.writeUInt32LE(hasLargeSize ? MAX_32 : entry.size, at + 18);
}

function zip64Extra(numbers: readonly number[]): Buffer {
  const extra = Buffer.alloc(4 + numbers.length * 8);
  extra.writeUInt16LE(ZIP64_EXTRA, 0);
  extra.writeUInt16LE(numbers.length * 8, 2);
  for (const [index, number] of numbers.entries()) extra.writeBigUInt64LE(BigInt(number), 4 + index * 8);
  return extra;
}
