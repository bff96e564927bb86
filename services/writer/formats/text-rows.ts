import type { RowTexts } from '../../../shared/domain/row-shape.ts';
import type { Bytes } from './format.ts';

const LINE_FEED = 0x0a;

/** A staged line that is not the texts of one row, which a part of another making has. */
export class UnreadableLineError extends Error {
  override readonly name = 'UnreadableLineError';
}

/**
 * Rows of staged texts, as many at a time as a piece of the input completes.
 *
 * @throws UnreadableLineError for a line that is not an array of `width` texts, or does not end
 */
export async function* readTextRows(lines: Bytes, width: number): AsyncGenerator<RowTexts[]> {
  let begun: Buffer[] = [];
  for await (const piece of lines) {
    const end = piece.lastIndexOf(LINE_FEED);
    if (end === -1) {
      begun.push(piece);
      continue;
    }
    yield parseRows(Buffer.concat([...begun, piece.subarray(0, end)]), width);
    begun = end + 1 < piece.length ? [piece.subarray(end + 1)] : [];
  }
  if (begun.length > 0) throw new UnreadableLineError('the staged rows end inside a line');
}

/** Line feeds in a text are escaped, so every one here stands between two rows: with commas it is one array. */
function parseRows(lines: Buffer, width: number): RowTexts[] {
  let rows: unknown;
  try {
    rows = JSON.parse(`[${lines.toString().replaceAll('\n', ',')}]`);
  } catch {
    // The parser's message quotes what it read, and that is a customer's.
    throw new UnreadableLineError('a staged line is not JSON');
  }
  if (!(rows as unknown[]).every((row) => Array.isArray(row) && row.length === width)) {
    throw new UnreadableLineError(`a staged line is not an array of ${width} texts`);
  }
  return rows as RowTexts[];
}
