import { MAX_ID_CHARACTERS } from './item-ids.ts';

/** One ID of a file and the line that it stands on, from 1. Longer texts than an ID may have are cut, which makes them bad. */
export interface IdLine {
  readonly line: number;
  readonly text: string;
}

const LONGEST = MAX_ID_CHARACTERS + 1;

/**
 * The IDs of a file, one a line: a byte-order mark, blank lines, spaces around and either kind of line end are passed over.
 * Memory is bounded whatever the file holds. Batches follow the chunks that come in.
 */
export async function* readIdLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<IdLine[]> {
  const decoder = new TextDecoder('utf-8');
  let rest = '';
  let line = 0;
  const toLines = (texts: readonly string[]): IdLine[] =>
    texts.flatMap((text) => {
      line += 1;
      const trimmed = text.trim();
      return trimmed === '' ? [] : [{ line, text: trimmed.slice(0, LONGEST) }];
    });
  for await (const chunk of chunks) {
    const texts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = (texts.pop() ?? '').slice(0, LONGEST * 2);
    yield toLines(texts);
  }
  yield toLines([rest + decoder.decode()]);
}
