import { PassThrough, pipeline, Readable } from 'node:stream';
import { createGzip } from 'node:zlib';
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

async function* throughStream(bytes: Bytes, stream: NodeJS.ReadWriteStream): AsyncGenerator<Buffer> {
  const out = new PassThrough({ highWaterMark: BUFFER_BYTES });
  // A failure on the way destroys `out` with it, and so reaches whoever reads here.
  pipeline(Readable.from(bytes), stream, out, () => undefined);
  for await (const piece of out) yield piece as Buffer;
}
