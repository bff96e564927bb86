import { rm } from 'node:fs/promises';
import { PassThrough, pipeline, Readable } from 'node:stream';
import { constants, createGzip, createZstdCompress } from 'node:zlib';
import type { Bytes, Compression } from './format.ts';
import { readSpooled, spoolBytes } from './spool.ts';

export const none: Compression = { suffix: '', compress: (bytes) => bytes };

const BUFFER_BYTES = 256 * 1024;

/**
 * zlib writes no time and no name into the header, so the same bytes give the same file. The level is zlib's default:
 * a higher one costs twice the time for a few percent.
 */
export const gzip: Compression = {
  suffix: '.gz',
  compress: (bytes) => throughStream(bytes, createGzip({ level: 6, chunkSize: BUFFER_BYTES })),
};

const ZSTD_LEVEL = 3;

/**
 * Zstandard at its default level; the checksum, which gzip has anyway, lets a reader notice a damaged file. Its blocks
 * follow the pieces that it is given, so these are made the same first. The frame's header says how long the content is, which
 * readers that unpack a file in one call need; it is known at the end only, so the frame waits on the local disk.
 */
export const zstd: Compression = {
  suffix: '.zst',
  async *compress(bytes, { signal, scratchPath }) {
    let contentBytes = 0;
    async function* counted(): AsyncGenerator<Buffer> {
      for await (const piece of bytes) {
        contentBytes += piece.length;
        yield piece;
      }
    }
    const frame = createZstdCompress({
      chunkSize: BUFFER_BYTES,
      params: { [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL, [constants.ZSTD_c_checksumFlag]: 1 },
    });
    const path = await scratchPath('zstd');
    try {
      await spoolBytes(throughStream(inEqualPieces(counted()), frame), path, signal);
      let isFirst = true;
      for await (const piece of readSpooled(path, signal)) {
        yield isFirst ? withContentSize(piece, contentBytes) : piece;
        isFirst = false;
      }
    } finally {
      await rm(path, { force: true });
    }
  },
};

/** Of the frame header descriptor (RFC 8878, 3.1.1.1.1): how many bytes the content size has, and whether a window is declared. */
const DESCRIPTOR_AT = 4;
const CONTENT_SIZE_FLAG = 0b1100_0000;
const SINGLE_SEGMENT_FLAG = 0b0010_0000;
/** Magic number, descriptor and window descriptor; our frames name no dictionary. */
const HEADER_BYTES = 6;

/** The frame's first bytes with the content size in the header, in its form of eight bytes. */
function withContentSize(start: Buffer, contentBytes: number): Buffer {
  const descriptor = start[DESCRIPTOR_AT] as number;
  // A frame of one segment has a content size always.
  if ((descriptor & (CONTENT_SIZE_FLAG | SINGLE_SEGMENT_FLAG)) !== 0) return start;
  const header = Buffer.alloc(HEADER_BYTES + 8);
  start.copy(header, 0, 0, HEADER_BYTES);
  header[DESCRIPTOR_AT] = descriptor | CONTENT_SIZE_FLAG;
  header.writeBigUInt64LE(BigInt(contentBytes), HEADER_BYTES);
  return Buffer.concat([header, start.subarray(HEADER_BYTES)]);
}

async function* inEqualPieces(bytes: Bytes): AsyncGenerator<Buffer> {
  let piece = Buffer.allocUnsafe(BUFFER_BYTES);
  let filled = 0;
  for await (const part of bytes) {
    for (let from = 0; from < part.length; ) {
      const copied = part.copy(piece, filled, from);
      from += copied;
      filled += copied;
      if (filled < BUFFER_BYTES) continue;
      yield piece;
      piece = Buffer.allocUnsafe(BUFFER_BYTES);
      filled = 0;
    }
  }
  if (filled > 0) yield piece.subarray(0, filled);
}

/** Bytes through a transforming stream; a failure of either reaches the reader. */
export async function* throughStream(bytes: Bytes, stream: NodeJS.ReadWriteStream): AsyncGenerator<Buffer> {
  const out = new PassThrough({ highWaterMark: BUFFER_BYTES });
  // A failure on the way destroys `out` with it, and so reaches whoever reads here.
  pipeline(Readable.from(bytes), stream, out, () => undefined);
  for await (const piece of out) yield piece as Buffer;
}
