import { decodeIdFile, IdFileError } from './decode-id-file.ts';
import { MAX_ID_CHARACTERS } from './item-ids.ts';

/** One line of a file, from 1, that is not blank. */
export interface IdLine {
  readonly line: number;
  /** The ID, without the quotes of CSV; cut where it is too long to be one. */
  readonly text: string;
  /** Why it can be no ID. */
  readonly fault?: LineFault;
}

/** What is wrong with a line whatever its ID would be of. */
export interface LineFault {
  readonly code: 'too_long' | 'quotes' | 'columns';
  readonly detail: string;
}

/** What a first line may be that is no ID. */
export interface HeaderRule {
  /** The names of key columns, any of which is taken for a header, in small or capital letters. */
  readonly names: readonly string[];
  /** Told of the header, as it came. */
  onHeader?(text: string): void;
}

const LONGEST = MAX_ID_CHARACTERS + 1;

/** As many characters of a line are kept: an ID of quotes alone, which are doubled, and the quotes around it. */
const MAX_LINE = MAX_ID_CHARACTERS * 2 + 2;

const QUOTED = /^"((?:[^"]|"")*)"$/;
const QUOTED_COLUMNS = /^"(?:[^"]|"")*"\s*[,;\t]/;
const SEPARATOR = /[,;\t]/;

const TOO_LONG = { code: 'too_long', detail: `an ID has at most ${MAX_ID_CHARACTERS} characters` } as const;
const BAD_QUOTES = {
  code: 'quotes',
  detail: 'has unclosed quotes, or text after them; double the quotes within quotes',
} as const;
const TOO_MANY = { code: 'columns', detail: 'has more than one column; send the IDs alone' } as const;

/**
 * The IDs of a file, one a line, or CSV of one column: quotes around an ID are taken off, and a header is passed over. So are a
 * byte-order mark, blank lines and spaces around; line ends are those of any system. Memory is bounded whatever the file holds.
 * Batches follow the chunks that come in.
 *
 * @throws IdFileError
 */
export async function* readIdLines(
  chunks: AsyncIterable<Buffer>,
  header: HeaderRule,
): AsyncGenerator<IdLine[]> {
  let rest = '';
  let line = 0;
  let isFirst = true;
  const toLines = (texts: readonly string[]): IdLine[] => {
    const found: IdLine[] = [];
    for (const text of texts) {
      line += 1;
      const trimmed = text.trim();
      if (trimmed === '') continue;
      if (!(isFirst && isHeader(trimmed, header))) found.push({ line, ...readCell(trimmed) });
      isFirst = false;
    }
    return found;
  };
  for await (const text of decodeIdFile(chunks, () => line + 1)) {
    const texts = splitLines(rest + text);
    rest = shortened(texts.pop() ?? '');
    yield toLines(texts);
  }
  yield toLines([rest]);
}

function splitLines(text: string): string[] {
  return text.includes('\r') ? text.split(/\r\n|\n|\r/) : text.split('\n');
}

/** The beginning of a line; where it is cut it stays too long, whatever follows. */
function shortened(text: string): string {
  const start = text.trimStart();
  if (start.length <= MAX_LINE) return start;
  const isBlank = start.slice(MAX_LINE).trim() === '';
  return start.slice(0, MAX_LINE) + (isBlank ? ' ' : 'x');
}

function readCell(text: string): Omit<IdLine, 'line'> {
  if (text.length > MAX_LINE) return { text: text.slice(0, LONGEST), fault: TOO_LONG };
  const isQuoted = text.startsWith('"');
  const cell = isQuoted ? QUOTED.exec(text)?.[1]?.replaceAll('""', '"') : text;
  if (cell === undefined) {
    return { text: text.slice(0, LONGEST), fault: QUOTED_COLUMNS.test(text) ? TOO_MANY : BAD_QUOTES };
  }
  return cell.length > MAX_ID_CHARACTERS ? { text: cell.slice(0, LONGEST), fault: TOO_LONG } : { text: cell };
}

/** @throws IdFileError when it is the header of several columns, of which any may be the IDs */
function isHeader(text: string, { names, onHeader }: HeaderRule): boolean {
  const isName = (cell: string) => {
    const name = readCell(cell.trim()).text.toLowerCase();
    return names.some((candidate) => candidate.toLowerCase() === name);
  };
  if (isName(text)) {
    onHeader?.(readCell(text).text);
    return true;
  }
  const named = SEPARATOR.test(text) ? text.split(SEPARATOR).find(isName) : undefined;
  if (named === undefined) return false;
  throw new IdFileError(`The file has more than one column: send only ${named.trim()}.`);
}
