import type { Bytes } from './format.ts';

export const LINE_FEED = 0x0a;

/** A staged line that is not what the format reads: a part of another making, or one that was damaged. */
export class UnreadableLineError extends Error {
  override readonly name = 'UnreadableLineError';
}

/**
 * Cuts bytes anew, at the ends of lines: each piece is one or more whole lines, line feeds included.
 *
 * @throws UnreadableLineError when the bytes end inside a line
 */
export async function* wholeLines(bytes: Bytes): AsyncGenerator<Buffer> {
  let begun: Buffer[] = [];
  for await (const piece of bytes) {
    const end = piece.lastIndexOf(LINE_FEED) + 1;
    if (end === 0) {
      begun.push(piece);
      continue;
    }
    const lines = piece.subarray(0, end);
    yield begun.length === 0 ? lines : Buffer.concat([...begun, lines]);
    begun = end < piece.length ? [piece.subarray(end)] : [];
  }
  if (begun.some(({ length }) => length > 0)) {
    throw new UnreadableLineError('the staged rows end inside a line');
  }
}
