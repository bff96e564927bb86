import { isUtf8 } from 'node:buffer';
import { MAX_ID_CHARACTERS } from './item-ids.ts';

// A file of IDs: decoded, and read as lines.

/** A file that can't be read as a list of IDs, whatever they are IDs of. The text is for who sent it. */
export class IdFileError extends Error {
  override readonly name = 'IdFileError';
}

/** What files begin with that are sent by mistake, in hexadecimal digits. */
const SIGNATURES: readonly (readonly [bytes: string, what: string])[] = [
  ['fffe', 'UTF-16: save it as UTF-8'],
  ['feff', 'UTF-16: save it as UTF-8'],
  ['504b0304', 'a zip archive or an Excel workbook: save the column of IDs as CSV in UTF-8'],
  ['d0cf11e0', 'an Excel workbook: save the column of IDs as CSV in UTF-8'],
  ['1f8b', 'compressed by gzip: send it uncompressed'],
  ['28b52ffd', 'compressed by zstd: send it uncompressed'],
];
const SIGNATURE_BYTES = 4;

/**
 * The text of a file of IDs, in pieces as its bytes come in. Only UTF-8 without NUL is taken: any other encoding would make other
 * IDs of these bytes, or none.
 *
 * @param lineNow the line that the text so far ends on, by the count of who reads it
 * @throws IdFileError saying what the file is, or which byte on which line is wrong, after the text before it
 */
async function* decodeIdFile(chunks: AsyncIterable<Buffer>, lineNow: () => number): AsyncGenerator<string> {
  let offset = 0;
  let open: Buffer = Buffer.alloc(0);
  function* decode(bytes: Buffer): Generator<string> {
    const at = faultAt(bytes);
    yield bytes.toString('utf8', 0, at);
    if (at !== undefined) throw faultOf(bytes[at] ?? 0, offset + at, lineNow());
    offset += bytes.length;
  }
  let isChecked = false;
  for await (const chunk of chunks) {
    const bytes = open.length === 0 ? chunk : Buffer.concat([open, chunk]);
    const isShort = !isChecked && bytes.length < SIGNATURE_BYTES;
    const openBytes = isShort ? bytes.length : openBytesOf(bytes);
    open = Buffer.from(bytes.subarray(bytes.length - openBytes));
    if (isShort) continue;
    if (!isChecked) requireText(bytes);
    isChecked = true;
    yield* decode(bytes.subarray(0, bytes.length - openBytes));
  }
  if (!isChecked) requireText(open);
  yield* decode(open);
}

function requireText(bytes: Buffer): void {
  const start = bytes.toString('hex', 0, SIGNATURE_BYTES);
  const found = SIGNATURES.find(([signature]) => start.startsWith(signature));
  if (found !== undefined) throw new IdFileError(`The file is ${found[1]}.`);
}

/** Bytes at the end that begin a character or a line end, whose rest comes with the next chunk. */
function openBytesOf(bytes: Buffer): number {
  if (bytes.at(-1) === CARRIAGE_RETURN) return 1;
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back] ?? 0;
    if (byte >= 0xc0) return sizeOf(byte) > back ? back : 0;
    if (byte < 0x80) return 0;
  }
  return 0;
}

const CARRIAGE_RETURN = 0x0d;

/** Of a character that begins with this byte. */
function sizeOf(lead: number): number {
  return lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
}

/** Where the first NUL or the first bytes that are no UTF-8 stand. */
function faultAt(bytes: Buffer): number | undefined {
  const nul = bytes.indexOf(0);
  const before = nul < 0 ? bytes : bytes.subarray(0, nul);
  if (isUtf8(before)) return nul < 0 ? undefined : nul;
  let at = 0;
  for (;;) {
    const size = sizeOf(before[at] ?? 0);
    if (!isUtf8(before.subarray(at, at + size))) return at;
    at += size;
  }
}

function faultOf(byte: number, offset: number, line: number): IdFileError {
  // A text in Latin letters has one in every second byte.
  if (byte === 0 && offset < 2) return new IdFileError('The file is UTF-16: save it as UTF-8.');
  const place = `line ${line}, byte ${offset} of the file`;
  if (byte === 0) return new IdFileError(`The file holds a NUL character: ${place}.`);
  const shown = byte.toString(16).toUpperCase();
  return new IdFileError(
    `The file is not UTF-8: ${place} is 0x${shown}. Save it as UTF-8 (it may be Windows-1252 or another encoding).`,
  );
}

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
