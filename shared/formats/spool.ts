import { createReadStream, createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Bytes } from './format.ts';

const LINE_FEED = 0x0a;
const BUFFER_BYTES = 1024 * 1024;
const READ_BUFFER_BYTES = 256 * 1024;

/** Puts lines on the local disk, for a reader that wants a file. @returns the length of the longest line, in bytes */
export async function spoolLines(lines: Bytes, path: string, signal: AbortSignal): Promise<number> {
  let longest = 0;
  let current = 0;
  async function* measured(): AsyncGenerator<Buffer> {
    for await (const piece of lines) {
      let from = 0;
      for (let end = piece.indexOf(LINE_FEED); end !== -1; end = piece.indexOf(LINE_FEED, from)) {
        longest = Math.max(longest, current + end - from);
        current = 0;
        from = end + 1;
      }
      current += piece.length - from;
      yield piece;
    }
  }
  await spoolBytes(measured(), path, signal);
  return longest;
}

/** Puts bytes on the local disk, for a writer that has to know their number before it can begin. @returns that number */
export async function spoolBytes(bytes: Bytes, path: string, signal: AbortSignal): Promise<number> {
  const file = createWriteStream(path, { flags: 'wx', highWaterMark: BUFFER_BYTES });
  await pipeline(Readable.from(bytes), file, { signal });
  return file.bytesWritten;
}

/** The bytes of a spooled file, from its first to its last. */
export async function* readSpooled(path: string, signal: AbortSignal): AsyncGenerator<Buffer> {
  for await (const piece of createReadStream(path, { highWaterMark: READ_BUFFER_BYTES, signal })) {
    yield piece as Buffer;
  }
}
