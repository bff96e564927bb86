import { rm } from 'node:fs/promises';
import { crc32, createDeflateRaw } from 'node:zlib';
import { throughStream } from '../../../shared/formats/compression.ts';
import type { Bytes, EncodeContext } from '../../../shared/formats/format.ts';
import { readSpooled, spoolBytes } from '../../../shared/formats/spool.ts';
import { centralHeader, endOfCentral, localHeader, type ZipEntry } from './zip-records.ts';

/** One file in an archive. */
export interface ZipMember {
  readonly name: string;
  readonly bytes: Bytes;
  /** Put in as it is, because it is compressed already. */
  readonly isStored: boolean;
}

const DEFLATE_LEVEL = 6;
const BUFFER_BYTES = 256 * 1024;

/**
 * A zip archive, in the 64-bit form where it gets too large for the other. A member is asked for once the one before is in, so a
 * later one may depend on what the earlier ones turned out to be.
 *
 * Each member waits on the local disk until its checksum and sizes are known, because they stand before its bytes: readers that
 * go through an archive from its beginning can't take a stored member whose sizes come behind it.
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
  const deflate = () => createDeflateRaw({ level: DEFLATE_LEVEL, chunkSize: BUFFER_BYTES });
  const content = isStored ? measured() : throughStream(measured(), deflate());
  const storedSize = await spoolBytes(content, path, signal);
  return { name, isDeflated: !isStored, crc32: checksum, size, storedSize };
}
