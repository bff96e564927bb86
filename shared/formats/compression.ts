import { rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { PassThrough, pipeline, Readable } from 'node:stream';
import { constants, crc32, createZstdCompress, deflateRaw, type ZlibOptions } from 'node:zlib';
import type { Bytes, Compression } from './format.ts';
import { readSpooled, spoolBytes } from './spool.ts';

export const none: Compression = { suffix: '', compress: (bytes) => bytes };

const BUFFER_BYTES = 256 * 1024;

/** RFC 1952, 2.3: magic number, deflate, no flags, no time, no extra flags, Unix. The same bytes give the same file. */
const GZIP_HEADER = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]);

/** One member, because readers such as Ruby's and browsers' take no more than the first. */
export const gzip: Compression = {
  suffix: '.gz',
  async *compress(bytes) {
    let checksum = 0;
    let contentBytes = 0;
    async function* measured(): AsyncGenerator<Buffer> {
      for await (const piece of bytes) {
        checksum = crc32(piece, checksum);
        contentBytes += piece.length;
        yield piece;
      }
    }
    yield GZIP_HEADER;
    yield* deflateInParallel(measured());
    const trailer = Buffer.alloc(8);
    trailer.writeUInt32LE(checksum, 0);
    // RFC 1952 counts modulo 2^32.
    trailer.writeUInt32LE(contentBytes % 2 ** 32, 4);
    yield trailer;
  },
};

/** A piece costs five bytes beside its content, and what compresses it starts again but for the window before it. */
const DEFLATE_PIECE_BYTES = 512 * 1024;
/** What deflate refers back to at most. */
const WINDOW_BYTES = 32 * 1024;

/** Each holds a piece and its result. One of libuv's four threads is left for files, which wait behind a piece otherwise. */
const PIECES_AT_ONCE = Math.min(3, availableParallelism());

function deflateOptions(piece: Buffer, window: Buffer | undefined): ZlibOptions {
  return {
    // zlib's default: a higher one costs twice the time for a few percent.
    level: 6,
    // Room for a piece that does not shrink, so that its result is one buffer.
    chunkSize: piece.length + (piece.length >> 8) + 1_024,
    // Ends at a whole byte and is not the end, so that the next piece may follow.
    finishFlush: constants.Z_SYNC_FLUSH,
    ...(window === undefined ? {} : { dictionary: window }),
  };
}

/** An empty last block (RFC 1951, 3.2.6): final, of fixed codes, with nothing but its end. */
const LAST_BLOCK = Buffer.from([0x03, 0x00]);

/**
 * Raw deflate on several processors: pieces are compressed beside each other, each with the end of the one before as its
 * window, and together are one stream. The pieces are the same however the input is cut, and so is the result.
 */
export async function* deflateInParallel(bytes: Bytes): AsyncGenerator<Buffer> {
  let window: Buffer | undefined;
  yield* inOrder(inEqualPieces(bytes, DEFLATE_PIECE_BYTES), PIECES_AT_ONCE, (piece) => {
    const options = deflateOptions(piece, window);
    window = piece.subarray(-WINDOW_BYTES);
    return new Promise<Buffer>((resolve, reject) => {
      deflateRaw(piece, options, (error, deflated) => (error === null ? resolve(deflated) : reject(error)));
    });
  });
  yield LAST_BLOCK;
}

/** Works on up to `atOnce` items beside each other, and yields the results in the order of the items. */
async function* inOrder<T, R>(
  items: AsyncIterable<T>,
  atOnce: number,
  work: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const begun: Promise<R>[] = [];
  for await (const item of items) {
    const result = work(item);
    // Awaited in its turn; until then nobody listens for its failure.
    result.catch(() => undefined);
    begun.push(result);
    if (begun.length >= atOnce) yield (await begun.shift()) as R;
  }
  for (const result of begun) yield await result;
}

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
      await spoolBytes(throughStream(inEqualPieces(counted(), BUFFER_BYTES), frame), path, signal);
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

async function* inEqualPieces(bytes: Bytes, pieceBytes: number): AsyncGenerator<Buffer> {
  let piece = Buffer.allocUnsafe(pieceBytes);
  let filled = 0;
  for await (const part of bytes) {
    for (let from = 0; from < part.length; ) {
      const copied = part.copy(piece, filled, from);
      from += copied;
      filled += copied;
      if (filled < pieceBytes) continue;
      yield piece;
      piece = Buffer.allocUnsafe(pieceBytes);
      filled = 0;
    }
  }
  if (filled > 0) yield piece.subarray(0, filled);
}

/** Bytes through a transforming stream; a failure of either reaches the reader. */
async function* throughStream(bytes: Bytes, stream: NodeJS.ReadWriteStream): AsyncGenerator<Buffer> {
  const out = new PassThrough({ highWaterMark: BUFFER_BYTES });
  // A failure on the way destroys `out` with it, and so reaches the reader here.
  pipeline(Readable.from(bytes), stream, out, () => undefined);
  for await (const piece of out) yield piece as Buffer;
}
