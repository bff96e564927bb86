import type { Bytes } from '../formats/format.ts';

const LINE_FEED = 0x0a;

/** Passes bytes on and counts the lines in them, each of which ends in a line feed. */
export class LineCounter {
  lines = 0;

  async *count(bytes: Bytes): AsyncGenerator<Buffer> {
    for await (const piece of bytes) {
      this.lines += countLineFeeds(piece);
      yield piece;
    }
  }
}

export function countLineFeeds(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(LINE_FEED); at !== -1; at = bytes.indexOf(LINE_FEED, at + 1)) count += 1;
  return count;
}
