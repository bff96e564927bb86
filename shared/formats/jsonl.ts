import type { Bytes, Format } from './format.ts';

const LINE_FEED = 0x0a;

/** JSON Lines: what is staged already. */
export const jsonl: Format = {
  suffix: '.jsonl',
  encode(lines) {
    let rowCount = 0;
    async function* counted(bytes: Bytes): AsyncGenerator<Buffer> {
      for await (const piece of bytes) {
        rowCount += countLineFeeds(piece);
        yield piece;
      }
    }
    return { bytes: counted(lines), rowCount: () => rowCount, columnsAsText: () => [] };
  },
};

/** Each row ends in the only line feed it has. */
function countLineFeeds(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(LINE_FEED); at !== -1; at = bytes.indexOf(LINE_FEED, at + 1)) count += 1;
  return count;
}
