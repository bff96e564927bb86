import { hash } from 'node:crypto';

/**
 * The digest of records that source and replica compute alike. Customers implement it: it is documented in
 * `services/api/docs/guides/verify.md`, with test vectors, and never changes.
 */

export const BUCKETS = 256;

/** The digest of one record, and the bucket of its key. */
export interface RecordDigest {
  /** The first byte of the SHA-256 of the key. */
  readonly bucket: number;
  /** The key columns as a JSON object, in the order of the row. */
  readonly key: Buffer;
  /** SHA-256, 32 bytes. */
  readonly digest: Buffer;
}

/** How the members of lines with the same names in the same order are put together. */
interface Layout {
  readonly rawNames: readonly string[];
  /** Indexes of the members in order of their names' code points. */
  readonly sorted: readonly number[];
  /** `"name":` of each member. */
  readonly prefixes: readonly Buffer[];
  readonly keyIndexes: readonly number[];
}

const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const COMMA = 0x2c;
const COLON = 0x3a;
const QUOTE = 0x22;
const SPACE = 0x20;
const TAB = 0x09;
const SMALL_N = 0x6e;
const OPENING = new Set([0x7b, 0x5b]);
const CLOSING = new Set([0x7d, 0x5d]);
const NULL_LENGTH = 4;

/**
 * Digests rows as Tandem writes them: one JSON object a line. A `json` column keeps its text as it was typed, so blanks may
 * stand around a value; they are no part of it. Rows of one resource have the same columns, so the order of their names is
 * found once.
 *
 * @param keyColumns names of the key columns
 */
export function createRecordDigester(keyColumns: readonly string[]): (line: Buffer) => RecordDigest {
  const rawNames: string[] = [];
  const starts: number[] = [];
  const ends: number[] = [];
  let layout: Layout | undefined;
  let scratch = Buffer.allocUnsafe(4_096);

  /** Finds the members: their names as they are in the line, and where their values are. */
  function scan(line: Buffer): void {
    let count = 0;
    let at = 1;
    if (line[0] !== OPEN_BRACE) throw notARow(0, line);
    while (line[at] !== CLOSE_BRACE) {
      if (line[at] !== QUOTE) throw notARow(at, line);
      const nameEnd = endOfString(line, at);
      if (line[nameEnd] !== COLON) throw notARow(nameEnd, line);
      const start = skipBlanks(line, nameEnd + 1);
      const end = endOfValue(line, start);
      rawNames[count] = line.toString('latin1', at, nameEnd);
      starts[count] = start;
      ends[count] = end;
      count += 1;
      const next = skipBlanks(line, end);
      if (line[next] !== COMMA && line[next] !== CLOSE_BRACE) throw notARow(next, line);
      at = line[next] === COMMA ? next + 1 : next;
    }
    rawNames.length = count;
  }

  function layoutOf(): Layout {
    if (layout !== undefined && isSame(layout.rawNames, rawNames)) return layout;
    const names = rawNames.map((raw) => JSON.parse(Buffer.from(raw, 'latin1').toString()) as string);
    const bytes = names.map((name) => Buffer.from(name));
    const keyIndexes = names.flatMap((name, index) => (keyColumns.includes(name) ? [index] : []));
    if (keyIndexes.length !== keyColumns.length) {
      throw new Error(`a row lacks a key column: it has ${names.join(', ')}`);
    }
    layout = {
      rawNames: [...rawNames],
      // The order of UTF-8 bytes is that of code points.
      sorted: [...names.keys()].sort((a, b) => Buffer.compare(bytes[a] as Buffer, bytes[b] as Buffer)),
      prefixes: names.map((name) => Buffer.from(`${JSON.stringify(name)}:`)),
      keyIndexes,
    };
    return layout;
  }

  /** An object of some members in the given order, in the scratch buffer. @returns its length */
  function write(line: Buffer, indexes: readonly number[], prefixes: readonly Buffer[], withNulls: boolean) {
    let at = 0;
    scratch[at++] = OPEN_BRACE;
    for (const index of indexes) {
      const [start = 0, end = 0] = [starts[index], ends[index]];
      if (!withNulls && line[start] === SMALL_N && end - start === NULL_LENGTH) continue;
      if (at > 1) scratch[at++] = COMMA;
      const prefix = prefixes[index] as Buffer;
      at += prefix.copy(scratch, at);
      at += line.copy(scratch, at, start, end);
    }
    scratch[at++] = CLOSE_BRACE;
    return at;
  }

  return (line) => {
    scan(line);
    const { sorted, prefixes, keyIndexes } = layoutOf();
    // Names may be longer than they are in the line, by their escapes.
    const most = line.length + prefixes.reduce((sum, prefix) => sum + prefix.length, 0);
    if (scratch.length < most) scratch = Buffer.allocUnsafe(most * 2);
    const keyLength = write(line, keyIndexes, prefixes, true);
    const key = Buffer.from(scratch.subarray(0, keyLength));
    const bucket = hash('sha256', key, 'buffer')[0] ?? 0;
    const length = write(line, sorted, prefixes, false);
    return { bucket, key, digest: hash('sha256', scratch.subarray(0, length), 'buffer') };
  };
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  if (a.length !== b.length) return false;
  for (let index = 0; index < a.length; index += 1) if (a[index] !== b[index]) return false;
  return true;
}

function endOfValue(line: Buffer, start: number): number {
  const first = line[start] ?? 0;
  if (first === QUOTE) return endOfString(line, start);
  let at = start;
  if (OPENING.has(first)) {
    for (let depth = 0; at < line.length; at += 1) {
      const byte = line[at] ?? 0;
      if (byte === QUOTE) at = endOfString(line, at) - 1;
      else if (OPENING.has(byte)) depth += 1;
      else if (CLOSING.has(byte) && --depth === 0) return at + 1;
    }
    throw notARow(at, line);
  }
  while (at < line.length && line[at] !== COMMA && line[at] !== CLOSE_BRACE && !isBlank(line[at])) at += 1;
  if (at === start) throw notARow(at, line);
  return at;
}

/** Line breaks are taken out of a staged value. */
function isBlank(byte: number | undefined): boolean {
  return byte === SPACE || byte === TAB;
}

function skipBlanks(line: Buffer, start: number): number {
  let at = start;
  while (isBlank(line[at])) at += 1;
  return at;
}

const BACKSLASH = 0x5c;

/** @returns where the string that begins at `start` is over, behind its quote */
function endOfString(line: Buffer, start: number): number {
  for (let at = line.indexOf(QUOTE, start + 1); at !== -1; at = line.indexOf(QUOTE, at + 1)) {
    let slashes = 0;
    while (line[at - 1 - slashes] === BACKSLASH) slashes += 1;
    if (slashes % 2 === 0) return at + 1;
  }
  throw notARow(line.length, line);
}

/** The line is a customer's record, and stays out of the message. */
function notARow(at: number, line: Buffer): Error {
  return new Error(`a staged row is not a JSON object: byte ${at} of ${line.length}`);
}

const WORDS = 8;
/** Sums of this many 32-bit words are exact in a double. */
const ADDS_BETWEEN_CARRIES = 2 ** 20;

/** Number of records, and the sum of their digests modulo 2^256. The order in which they are added does not matter. */
export class DigestSum {
  rows = 0;
  /** Words of 32 bits, the most significant first. They overflow into the next one only when they are carried. */
  readonly #words = new Float64Array(WORDS);
  #added = 0;

  add(digest: Buffer): void {
    this.rows += 1;
    for (let word = 0; word < WORDS; word += 1)
      this.#words[word] = (this.#words[word] ?? 0) + digest.readUInt32BE(4 * word);
    this.#added += 1;
    if (this.#added === ADDS_BETWEEN_CARRIES) this.#carry();
  }

  addAll(other: DigestSum): void {
    this.rows += other.rows;
    this.#carry();
    other.#carry();
    for (let word = 0; word < WORDS; word += 1)
      this.#words[word] = (this.#words[word] ?? 0) + (other.#words[word] ?? 0);
    this.#carry();
  }

  /** 64 hexadecimal digits. */
  toString(): string {
    this.#carry();
    return Array.from(this.#words, (word) => word.toString(16).padStart(8, '0')).join('');
  }

  #carry(): void {
    let carry = 0;
    for (let word = WORDS - 1; word >= 0; word -= 1) {
      const sum = (this.#words[word] ?? 0) + carry;
      carry = Math.floor(sum / 2 ** 32);
      this.#words[word] = sum % 2 ** 32;
    }
    this.#added = 0;
  }
}
