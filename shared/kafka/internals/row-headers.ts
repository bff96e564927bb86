import type { IHeaders } from 'kafkajs';
import { ROW_HEADERS, type RowHeaders, readRowHeaders, toKafkaHeaders } from '../../protocol/headers.ts';
import { writeInteger, writeString } from '../../values/avro-writer.ts';
import { ByteWriter } from '../../values/byte-writer.ts';
import { writeJsonInteger } from '../../values/json-writer.ts';
import { FetchedRecord, VarintCursor } from './decode-records.ts';
import type { RecordHeaders } from './record-batch.ts';

const HEADER_COUNT = 5;

/**
 * Writes the headers of one try's rows, the same as `toKafkaHeaders` has them and in the same order. What is the same for all
 * rows is encoded once.
 */
export class RowHeadersWriter implements RecordHeaders {
  seq = 0;
  account = '';
  isLast = false;
  readonly #run: Pick<RowHeaders, 'exportId' | 'chunk' | 'attempt'>;
  readonly #traceparent: string | undefined;
  readonly #constant: Buffer;
  readonly #digits = new ByteWriter();

  constructor(run: Pick<RowHeaders, 'exportId' | 'chunk' | 'attempt'>, traceparent?: string) {
    const { exportId, chunk, attempt } = run;
    this.#run = { exportId, chunk, attempt };
    this.#traceparent = traceparent;
    const out = new ByteWriter();
    writeString(out, ROW_HEADERS.export);
    writeString(out, exportId);
    writeString(out, ROW_HEADERS.chunk);
    writeString(out, String(chunk));
    writeString(out, ROW_HEADERS.attempt);
    writeString(out, String(attempt));
    writeString(out, ROW_HEADERS.seq);
    this.#constant = out.toBuffer();
  }

  /** The same, for kafkajs to encode. */
  toHeaders(): IHeaders {
    const { seq, account, isLast } = this;
    return toKafkaHeaders({ ...this.#run, seq, account, isLast, traceparent: this.#traceparent });
  }

  write(out: ByteWriter): void {
    writeInteger(out, this.isLast ? HEADER_COUNT + this.#countOfLast() : HEADER_COUNT);
    out.reserve(this.#constant.length);
    out.length += this.#constant.copy(out.bytes, out.length);
    this.#digits.reset();
    writeJsonInteger(this.#digits, this.seq);
    writeInteger(out, this.#digits.length);
    out.reserve(this.#digits.length);
    for (let index = 0; index < this.#digits.length; index += 1) {
      out.bytes[out.length + index] = this.#digits.bytes[index] as number;
    }
    out.length += this.#digits.length;
    writeString(out, ROW_HEADERS.account);
    writeString(out, this.account);
    if (!this.isLast) return;
    writeString(out, ROW_HEADERS.last);
    writeString(out, '1');
    if (this.#traceparent === undefined) return;
    writeString(out, ROW_HEADERS.traceparent);
    writeString(out, this.#traceparent);
  }

  #countOfLast(): number {
    return this.#traceparent === undefined ? 1 : 2;
  }
}

/** The headers of a row that the writer needs. */
export type RowPlace = Pick<RowHeaders, 'exportId' | 'chunk' | 'attempt' | 'seq' | 'isLast' | 'traceparent'>;

const DIGIT_ZERO = 0x30;
/** More digits might not be exact; `readRowHeaders` handles them. */
const MAX_EXACT_DIGITS = 15;

const NOT_YET = -1;

const EXPORT = Buffer.from(ROW_HEADERS.export);
const CHUNK = Buffer.from(ROW_HEADERS.chunk);
const ATTEMPT = Buffer.from(ROW_HEADERS.attempt);
const SEQ = Buffer.from(ROW_HEADERS.seq);
const ACCOUNT = Buffer.from(ROW_HEADERS.account);
const LAST = Buffer.from(ROW_HEADERS.last);
const TRACEPARENT = Buffer.from(ROW_HEADERS.traceparent);

/**
 * Reads row headers in place in the fetch, without an object for each, which suits runs of rows of one export. It agrees with
 * `readRowHeaders`, to which it leaves everything unusual, at a tenth of the cost.
 */
export class RowPlaceReader {
  #exportBytes = Buffer.alloc(0);
  #exportId = '';

  /** @returns undefined when the headers are not those of an extracted row */
  read(message: { readonly headers?: IHeaders }): RowPlace | undefined {
    const place = message instanceof FetchedRecord ? this.#readBytes(message) : undefined;
    return place ?? readRowHeaders(message.headers);
  }

  /** @returns undefined for everything but a row's headers as an extractor writes them */
  #readBytes({ bytes, headersStart }: FetchedRecord): RowPlace | undefined {
    const cursor = new VarintCursor(bytes, headersStart);
    let exportId: string | undefined;
    let chunk = NOT_YET;
    let attempt = NOT_YET;
    let seq = NOT_YET;
    let isLast = false;
    let traceparent: string | undefined;
    for (let rest = cursor.read(); rest > 0; rest -= 1) {
      const nameLength = cursor.read();
      const nameStart = cursor.position;
      cursor.position += nameLength;
      const length = cursor.read();
      const start = cursor.position;
      if (length < 0) return undefined;
      cursor.position += length;
      if (isName(SEQ, bytes, nameStart, nameLength) && seq === NOT_YET)
        seq = wholeNumber(bytes, start, length);
      else if (isName(CHUNK, bytes, nameStart, nameLength) && chunk === NOT_YET) {
        chunk = wholeNumber(bytes, start, length);
      } else if (isName(ATTEMPT, bytes, nameStart, nameLength) && attempt === NOT_YET) {
        attempt = wholeNumber(bytes, start, length);
      } else if (isName(EXPORT, bytes, nameStart, nameLength) && exportId === undefined) {
        exportId = this.#exportIdAt(bytes, start, length);
      } else if (isName(LAST, bytes, nameStart, nameLength)) isLast = true;
      else if (isName(TRACEPARENT, bytes, nameStart, nameLength) && traceparent === undefined) {
        traceparent = bytes.toString('utf8', start, start + length);
      } else if (!isName(ACCOUNT, bytes, nameStart, nameLength)) return undefined;
    }
    if (exportId === undefined || !(chunk >= 0 && attempt >= 0 && seq >= 0)) return undefined;
    if (!isLast || traceparent === undefined) return { exportId, chunk, attempt, seq, isLast };
    return { exportId, chunk, attempt, seq, isLast, traceparent };
  }

  #exportIdAt(bytes: Buffer, start: number, length: number): string {
    if (!isName(this.#exportBytes, bytes, start, length)) {
      // A copy, because a slice would keep the whole fetch in memory.
      this.#exportBytes = Buffer.from(bytes.subarray(start, start + length));
      this.#exportId = this.#exportBytes.toString();
    }
    return this.#exportId;
  }
}

/** The names are so short that a loop is faster than a native call. */
function isName(name: Buffer, bytes: Buffer, start: number, length: number): boolean {
  if (length !== name.length) return false;
  for (let index = 0; index < length; index += 1) if (bytes[start + index] !== name[index]) return false;
  return true;
}

/** The number that decimal digits stand for; NaN for anything else. */
function wholeNumber(bytes: Buffer, start: number, length: number): number {
  if (length === 0 || length > MAX_EXACT_DIGITS) return Number.NaN;
  let number = 0;
  for (let at = start; at < start + length; at += 1) {
    const digit = (bytes[at] ?? 0) - DIGIT_ZERO;
    if (digit < 0 || digit > 9) return Number.NaN;
    number = number * 10 + digit;
  }
  return number;
}
