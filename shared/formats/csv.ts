import type { Column } from '../domain/row-type.ts';
import { ByteWriter } from '../values/byte-writer.ts';
import type { Bytes, Format } from './format.ts';

/**
 * CSV by RFC 4180: CRLF after every record, the header too, quotes only where they are needed. An empty cell is null and
 * `""` an empty string; a nested value is its JSON text, so a JSON null is `null`. Written by hand because csv-stringify has
 * one form for null and for an empty string.
 *
 * With `isSafe` a cell that a spreadsheet would take for a formula gets an apostrophe before it. Numbers keep their form: no
 * spreadsheet runs them, and `-5` has to stay a number.
 */
export function createCsv({ isSafe }: { readonly isSafe: boolean }): Format {
  return {
    suffix: '.csv',
    encode(lines, { columns }) {
      let rowCount = 0;
      async function* records(rows: Bytes): AsyncGenerator<Buffer> {
        const out = new ByteWriter();
        const guarded = columns.map((column) => isSafe && mayStartFormula(column));
        if (columns.length > 0) {
          const names = columns.map(({ name }) => name);
          writeCsvHeader(out, names, isSafe);
          yield out.toBuffer();
        }
        for await (const piece of wholeLines(rows)) {
          out.reset();
          for (let at = 0; at < piece.length; rowCount += 1) at = writeCsvRecord(out, piece, at, guarded);
          yield out.toBuffer();
        }
      }
      return { bytes: records(lines), rowCount: () => rowCount, columnsAsText: () => [] };
    },
  };
}

/** JSON that starts with one of those signs is a number too. */
function mayStartFormula({ type: { kind, pgName } }: Column): boolean {
  if (kind === 'bytes') return true;
  return kind === 'string' && pgName !== 'money' && !/^numeric\b/.test(pgName);
}

const TAB = 0x09;
const CARRIAGE_RETURN = 0x0d;
const QUOTE = 0x22;
const APOSTROPHE = 0x27;
const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const LETTER_N = 0x6e;
const LETTER_U = 0x75;
const NULL_LENGTH = 'null'.length;
const HEX_DIGITS = 4;

/** What makes a spreadsheet take a cell for a formula. */
const FORMULA_STARTS: ReadonlySet<number> = new Set([...Buffer.from('=+-@'), TAB, CARRIAGE_RETURN]);

/** What follows a backslash in JSON, apart from `u`, and what the two stand for. */
const UNESCAPED: ReadonlyMap<number, number> = new Map(
  Object.entries({ '"': '"', '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }).map(
    ([letter, character]) => [letter.charCodeAt(0), character.charCodeAt(0)],
  ),
);

/**
 * Writes the row in `source` at `start`, a line of staged texts, as a record of CSV: straight from bytes to bytes, because
 * a string for each cell makes several times the work, and the collector let memory grow with the file.
 *
 * `guarded` says of each column whether a cell that a spreadsheet would take for a formula gets an apostrophe.
 *
 * @returns where the next line starts
 * @throws UnreadableLineError when the line is not an array of a text or null for each column
 */
export function writeCsvRecord(
  out: ByteWriter,
  source: Buffer,
  start: number,
  guarded: readonly boolean[],
): number {
  let at = start;
  for (let column = 0; column < guarded.length; column += 1) {
    expectByte(source, at, column === 0 ? OPEN_BRACKET : COMMA);
    if (column > 0) out.writeByte(COMMA);
    at = writeCell(out, source, at + 1, guarded[column] === true);
  }
  expectByte(source, at, CLOSE_BRACKET);
  expectByte(source, at + 1, LINE_FEED);
  endRecord(out);
  return at + 2;
}

/** The record of the columns' names, which are texts too. */
function writeCsvHeader(out: ByteWriter, names: readonly string[], isSafe: boolean): void {
  const line = Buffer.from(`${JSON.stringify(names)}\n`);
  writeCsvRecord(
    out,
    line,
    0,
    names.map(() => isSafe),
  );
}

function endRecord(out: ByteWriter): void {
  out.writeByte(CARRIAGE_RETURN);
  out.writeByte(LINE_FEED);
}

/** @returns where the value ends */
function writeCell(out: ByteWriter, source: Buffer, start: number, isGuarded: boolean): number {
  if (source[start] === LETTER_N) return start + NULL_LENGTH;
  expectByte(source, start, QUOTE);
  const first = start + 1;
  let needsQuotes = source[first] === QUOTE;
  let isPlain = true;
  let end = first;
  for (; source[end] !== QUOTE; end += 1) {
    const byte = source[end];
    if (byte === undefined || byte === LINE_FEED) throw malformed();
    if (byte === COMMA) needsQuotes = true;
    if (byte !== BACKSLASH) continue;
    isPlain = false;
    end += 1;
    const character = UNESCAPED.get(source[end] ?? 0);
    if (character === QUOTE || character === LINE_FEED || character === CARRIAGE_RETURN) needsQuotes = true;
  }
  if (needsQuotes) out.writeByte(QUOTE);
  if (isGuarded && startsFormula(source, first)) out.writeByte(APOSTROPHE);
  if (isPlain) writeSlice(out, source, first, end);
  else writeUnescaped(out, source, first, end);
  if (needsQuotes) out.writeByte(QUOTE);
  return end + 1;
}

function startsFormula(source: Buffer, first: number): boolean {
  const byte = source[first] ?? 0;
  return FORMULA_STARTS.has(byte === BACKSLASH ? (UNESCAPED.get(source[first + 1] ?? 0) ?? 0) : byte);
}

function writeSlice(out: ByteWriter, source: Buffer, start: number, end: number): void {
  out.reserve(end - start);
  out.length += source.copy(out.bytes, out.length, start, end);
}

/** A quote becomes two, and so takes as many bytes as it had with its backslash; everything else takes no more. */
function writeUnescaped(out: ByteWriter, source: Buffer, start: number, end: number): void {
  out.reserve(end - start);
  const { bytes } = out;
  let { length } = out;
  for (let at = start; at < end; at += 1) {
    const byte = source[at] ?? 0;
    if (byte !== BACKSLASH) {
      bytes[length++] = byte;
      continue;
    }
    at += 1;
    if (source[at] === LETTER_U) {
      const digits = source.toString('latin1', at + 1, at + 1 + HEX_DIGITS);
      length += bytes.write(String.fromCharCode(Number.parseInt(digits, 16)), length);
      at += HEX_DIGITS;
      continue;
    }
    const character = UNESCAPED.get(source[at] ?? 0);
    if (character === undefined) throw malformed();
    if (character === QUOTE) bytes[length++] = QUOTE;
    bytes[length++] = character;
  }
  out.length = length;
}

function expectByte(source: Buffer, at: number, byte: number): void {
  if (source[at] !== byte) throw malformed();
}

/** The line itself is a customer's and stays out of it. */
function malformed(): UnreadableLineError {
  return new UnreadableLineError('a staged line is not an array of a text or null for each column');
}

const LINE_FEED = 0x0a;

/** A staged line that is not what the format reads: a part of another making, or one that was damaged. */
export class UnreadableLineError extends Error {
  override readonly name = 'UnreadableLineError';
}

/**
 * Cuts bytes again, at the ends of lines: each piece is one or more whole lines, line feeds included.
 *
 * @throws UnreadableLineError when the bytes end inside a line
 */
async function* wholeLines(bytes: Bytes): AsyncGenerator<Buffer> {
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
