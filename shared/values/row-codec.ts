import { isUtf8 } from 'node:buffer';
import type { RowTexts, RowType, ValueType } from '../domain/row-type.ts';
import { AvroReader } from './avro-reader.ts';
import { MAX_EXACT_DIGITS, writeInteger } from './avro-writer.ts';
import { ByteWriter } from './byte-writer.ts';
import { createRowJson } from './json-text.ts';
import { isLineSeparator } from './json-writer.ts';
import type { PgRow } from './pg-row.ts';
import { createPublicRowWriter } from './public-row-writer.ts';
import { createPublicShape, type PublicShape } from './public-shape.ts';
import { createRowBody, type RowBody, UnencodableRowError, VALUE_BRANCH, writePgColumn } from './row-body.ts';
import { type RecordNames, type RowSchema, rowSchema } from './row-schema.ts';
import { jsonToWire, timestamptzToWire } from './scalar-types.ts';
import { WIRE_HEADER_BYTES, writeWireHeader } from './wire-format.ts';

/**
 * Writes rows as `RowBody.write` does, from their bytes. Common values are copied from bytes to bytes. Other values become the
 * text that `RowBody` takes.
 */
export interface PgRowWriter {
  /**
   * Ignores columns beyond those of the row type.
   *
   * @throws UnencodableRowError when a text is not of its column's type, or a key column is null
   */
  write(out: ByteWriter, row: PgRow): void;
}

/** Writes a value of the usual form. @returns false if nothing was written and the text has to be parsed */
type WriteUsual = (out: ByteWriter, bytes: Buffer, start: number, length: number) => boolean;

function createPgRowWriter({ resource, columns }: RowType): PgRowWriter {
  const writers = columns.map((column) => ({ column, writeUsual: usualWriter(column.type) }));
  return {
    write(out, row) {
      if (row.columnCount < writers.length) {
        throw new RangeError(
          `a row of ${resource} has ${row.columnCount} texts for ${writers.length} columns`,
        );
      }
      for (let index = 0; index < writers.length; index += 1) {
        const { column, writeUsual } = writers[index] as (typeof writers)[number];
        const length = row.lengths[index] as number;
        if (length >= 0) {
          const before = out.length;
          if (!column.isKey) out.writeByte(VALUE_BRANCH);
          if (writeUsual(out, row.bytes, row.starts[index] as number, length)) continue;
          out.length = before;
        }
        try {
          writePgColumn(out, column, row.text(index));
        } catch (cause) {
          throw new UnencodableRowError(resource, column.name, cause);
        }
      }
    },
  };
}

function usualWriter({ kind, toWire }: ValueType): WriteUsual {
  if (kind === 'int' || kind === 'long') return writeDigits;
  if (kind === 'boolean') return writeBoolean;
  if (kind !== 'string' && kind !== 'json') return nothingUsual;
  if (toWire === undefined) return writeUtf8;
  if (toWire === timestamptzToWire) return writeTimestamptz;
  return toWire === jsonToWire ? writeJsonOfOneLine : nothingUsual;
}

const nothingUsual: WriteUsual = () => false;

const DIGIT_ZERO = 0x30;
const HYPHEN = 0x2d;

const writeDigits: WriteUsual = (out, bytes, start, length) => {
  const isNegative = bytes[start] === HYPHEN;
  const end = start + length;
  let at = isNegative ? start + 1 : start;
  if (at === end || end - at > MAX_EXACT_DIGITS) return false;
  let value = 0;
  for (; at < end; at += 1) {
    const digit = (bytes[at] as number) - DIGIT_ZERO;
    if (digit < 0 || digit > 9) return false;
    value = value * 10 + digit;
  }
  writeInteger(out, isNegative ? -value : value);
  return true;
};

const LETTER_T = 0x74;
const LETTER_F = 0x66;

const writeBoolean: WriteUsual = (out, bytes, start, length) => {
  const letter = bytes[start];
  if (length !== 1 || (letter !== LETTER_T && letter !== LETTER_F)) return false;
  out.writeByte(letter === LETTER_T ? 1 : 0);
  return true;
};

/** Up to about this length a loop is faster than copying and checking by calls into native code. */
const MAX_LOOPED_LENGTH = 150;

/**
 * A server with the encoding SQL_ASCII sends bytes of any encoding, so text is checked: a file that declares UTF-8 must hold
 * nothing else.
 */
const writeUtf8: WriteUsual = (out, bytes, start, length) => {
  const before = out.length;
  writeInteger(out, length);
  out.reserve(length);
  const { bytes: target } = out;
  let isAscii = length <= MAX_LOOPED_LENGTH;
  if (isAscii) {
    let seen = 0;
    let at = out.length;
    for (let from = start; from < start + length; from += 1) {
      const byte = bytes[from] as number;
      seen |= byte;
      target[at++] = byte;
    }
    isAscii = seen < 0x80;
  } else {
    bytes.copy(target, out.length, start, start + length);
  }
  if (!isAscii && !isUtf8(bytes.subarray(start, start + length))) {
    out.length = before;
    return false;
  }
  out.length += length;
  return true;
};

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const MAX_ASCII = 0x7f;

const writeJsonOfOneLine: WriteUsual = (out, bytes, start, length) => {
  for (let at = start; at < start + length; at += 1) {
    const byte = bytes[at] as number;
    if (byte === LINE_FEED || byte === CARRIAGE_RETURN) return false;
    if (byte > MAX_ASCII && isLineSeparator(bytes, at, start + length)) return false;
  }
  return writeUtf8(out, bytes, start, length);
};

const SPACE = 0x20;
const PLUS = 0x2b;
const LETTER_UPPER_T = 0x54;
const LETTER_UPPER_Z = 0x5a;
/** `2026-01-02 03:04:05+00`, and with a fraction of up to six digits. */
const MIN_TIME_LENGTH = 22;
const MAX_TIME_LENGTH = 29;
const YEAR_END = 4;
const DATE_END = 10;
const OFFSET_LENGTH = 3;

const writeTimestamptz: WriteUsual = (out, bytes, start, length) => {
  const offsetAt = start + length - OFFSET_LENGTH;
  const isUsual =
    length >= MIN_TIME_LENGTH &&
    length <= MAX_TIME_LENGTH &&
    bytes[start + YEAR_END] === HYPHEN &&
    bytes[start + DATE_END] === SPACE &&
    bytes[offsetAt] === PLUS &&
    bytes[offsetAt + 1] === DIGIT_ZERO &&
    bytes[offsetAt + 2] === DIGIT_ZERO;
  if (!isUsual) return false;
  writeInteger(out, length - OFFSET_LENGTH + 1);
  out.reserve(length);
  const { bytes: target } = out;
  let at = out.length;
  for (let from = start; from < offsetAt; from += 1) target[at++] = bytes[from] as number;
  target[out.length + DATE_END] = LETTER_UPPER_T;
  target[at++] = LETTER_UPPER_Z;
  out.length = at;
  return true;
};

/**
 * A resource's rows as Avro messages and as JSON. Own code for speed: it converts PostgreSQL's texts to bytes, and bytes to JSON,
 * without the objects and numbers that a general codec creates. Any Avro reader can read its messages.
 */
export interface RowCodec {
  /** The Avro schema, for the registry. */
  readonly schema: RowSchema;
  /**
   * A message in the registry's wire format, from PostgreSQL texts.
   *
   * @throws UnencodableRowError when a text is not of its column's type, or a key column is null
   */
  encode(pgTexts: RowTexts, registryId: number): Buffer;
  /**
   * Like `encode` of the row's texts, several times faster. Ignores further columns. The next call overwrites the returned
   * bytes.
   *
   * @throws UnencodableRowError
   */
  encodeRow(row: PgRow, registryId: number): ByteWriter;
  /** The same message, from the row's wire texts. @throws UnencodableRowError */
  encodeWire(wireTexts: RowTexts, registryId: number): Buffer;
  /** The row's wire texts. `offset` is where the Avro body starts. @throws UnreadableMessageError */
  decode(message: Buffer, offset?: number): RowTexts;
  /** `toJson(decode(message))`, many times faster. @throws UnreadableMessageError */
  decodeToJson(message: Buffer): string;
  /** The same, appended to `out` as UTF-8: for a file of many rows. With `only`, of these fields. @throws UnreadableMessageError */
  appendJson(message: Buffer, out: ByteWriter, only?: ReadonlySet<string>): void;
  /**
   * The row as customers see it, as a JSON array of wire texts, appended to `out` as UTF-8. Unlike the row's JSON it tells SQL
   * NULL (`null`) from a JSON null (`"null"`), and has no number that a reader could round. @throws UnreadableMessageError
   */
  appendTexts(message: Buffer, out: ByteWriter, only?: ReadonlySet<string>): void;
  /** The only serializer, so an export row and an event's data have the same text for one row version. */
  toJson(wireTexts: RowTexts): string;
  /** How customers see the rows. */
  readonly shape: PublicShape;
}

export function createRowCodec(rowType: RowType, names: RecordNames): RowCodec {
  const body = createRowBody(rowType);
  const rows = createPgRowWriter(rowType);
  const shape = createPublicShape(rowType);
  const shaped = createRowJson(shape.rowType);
  const scratch = new ByteWriter();

  function decode(message: Buffer, offset = WIRE_HEADER_BYTES): RowTexts {
    const reader = new AvroReader(message, offset);
    const row = body.read(reader);
    reader.finish();
    return row;
  }

  function append(write: RowBody['writeJson']): RowCodec['appendJson'] {
    return (message, out, only) => {
      const reader = new AvroReader(message, WIRE_HEADER_BYTES);
      write(reader, out, only);
      reader.finish();
    };
  }

  const { writeJson, writeTexts } =
    rowType.fields === undefined ? body : createPublicRowWriter(rowType, rowType.fields, shape);
  const appendJson = append(writeJson);

  return {
    shape,
    schema: rowSchema(rowType, names),
    encode(pgTexts, registryId) {
      scratch.reset();
      writeWireHeader(scratch, registryId);
      body.write(scratch, pgTexts);
      return scratch.toBuffer();
    },
    encodeWire(wireTexts, registryId) {
      scratch.reset();
      writeWireHeader(scratch, registryId);
      body.writeWire(scratch, wireTexts);
      return scratch.toBuffer();
    },
    encodeRow(row, registryId) {
      scratch.reset();
      writeWireHeader(scratch, registryId);
      rows.write(scratch, row);
      return scratch;
    },
    decode,
    decodeToJson(message) {
      scratch.reset();
      appendJson(message, scratch);
      return scratch.toText();
    },
    appendJson,
    appendTexts: append(writeTexts),
    toJson: (wireTexts) => shaped.toJson(shape.apply(wireTexts)),
  };
}
