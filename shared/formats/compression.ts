import { PassThrough, pipeline, Readable } from 'node:stream';
import { constants, createGzip, createZstdCompress } from 'node:zlib';
import type { Bytes, Compression } from './format.ts';

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
 * follow the pieces that it is given, so these are made the same first.
 */
export const zstd: Compression = {
  suffix: '.zst',
  compress: (bytes) =>
    throughStream(
      inEqualPieces(bytes),
      createZstdCompress({
        chunkSize: BUFFER_BYTES,
        params: {
          [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL,
          [constants.ZSTD_c_checksumFlag]: 1,
        },
      }),
    ),
};

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

async function* throughStream(bytes: Bytes, stream: NodeJS.ReadWriteStream): AsyncGenerator<Buffer> {
  const out = new PassThrough({ highWaterMark: BUFFER_BYTES });
  // A failure on the way destroys `out` with it, and so reaches whoever reads here.
  pipeline(Readable.from(bytes), stream, out, () => undefined);
  for await (const piece of out) yield piece as Buffer;
}
