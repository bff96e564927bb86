import type { Column, RowTexts, RowType, ValueType } from '../domain/row-type.ts';
import type { AvroReader } from './avro-reader.ts';
import { writeBytea, writeDouble, writeFloat, writeIntegerText, writeString } from './avro-writer.ts';
import type { ByteWriter } from './byte-writer.ts';
import { jsonString, wireToJson } from './json-text.ts';
import { writeJsonInteger, writeJsonRaw, writeJsonString } from './json-writer.ts';
import { booleanToWire, doubleText, floatText, parseFloatText } from './scalar-types.ts';
import { UnreadableTextError } from './unreadable-text-error.ts';

/** A row's Avro body, without the wire format's header: what row messages and change messages share. */
export interface RowBody {
  /** @throws UnencodableRowError when a text is not of its column's type, or a key column is null */
  write(out: ByteWriter, pgTexts: RowTexts): void;
  /** The same bytes as `write` makes of the row, from its wire texts. @throws UnencodableRowError */
  writeWire(out: ByteWriter, wireTexts: RowTexts): void;
  /** The row's wire texts. @throws UnreadableMessageError */
  read(reader: AvroReader): RowTexts;
  /**
   * The row as JSON text, straight from bytes to bytes; the same text as `toJson` makes. With `only`, of these columns.
   *
   * @throws UnreadableMessageError
   */
  writeJson(reader: AvroReader, out: ByteWriter, only?: ReadonlySet<string>): void;
  /**
   * The row's wire texts as a JSON array of strings and nulls, straight from bytes to bytes. With `only`, of these columns.
   *
   * @throws UnreadableMessageError
   */
  writeTexts(reader: AvroReader, out: ByteWriter, only?: ReadonlySet<string>): void;
}

/** A row that cannot be encoded. The facts name its place, but not the value, which is a customer's. */
export class UnencodableRowError extends Error {
  override readonly name = 'UnencodableRowError';
  readonly resource: string;
  readonly column: string;

  constructor(resource: string, column: string, cause: unknown) {
    super(`a row of ${resource} cannot be encoded: column ${JSON.stringify(column)}`, { cause });
    this.resource = resource;
    this.column = column;
  }
}

const NULL_BRANCH = 0;
export const VALUE_BRANCH = 2;
const NULL_JSON = Buffer.from('null');
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const COMMA = 0x2c;
const QUOTE = 0x22;

export function createRowBody({ resource, columns }: RowType): RowBody {
  const jsonPrefixes = columns.map(({ name }) => Buffer.from(`${jsonString(name)}:`));

  function writeRow(out: ByteWriter, texts: RowTexts, writeText: typeof writeValue): void {
    if (texts.length !== columns.length) {
      throw new RangeError(`a row of ${resource} has ${texts.length} texts for ${columns.length} columns`);
    }
    for (let index = 0; index < columns.length; index += 1) {
      const column = columns[index] as Column;
      const text = texts[index] as string | null;
      try {
        writeColumn(out, column, text, writeText);
      } catch (cause) {
        throw new UnencodableRowError(resource, column.name, cause);
      }
    }
  }

  return {
    write: (out, pgTexts) => writeRow(out, pgTexts, writeValue),
    writeWire: (out, wireTexts) => writeRow(out, wireTexts, writeWireValue),

    read(reader) {
      return columns.map(({ type, isKey }) =>
        !isKey && reader.readIsNull() ? null : readText(reader, type.kind),
      );
    },

    writeJson(reader, out, only) {
      out.writeByte(OPEN_BRACE);
      let isFirst = true;
      for (let index = 0; index < columns.length; index += 1) {
        const column = columns[index] as Column;
        const { type, isKey } = column;
        if (only !== undefined && !only.has(column.name)) {
          skipColumn(reader, column);
          continue;
        }
        if (!isFirst) out.writeByte(COMMA);
        isFirst = false;
        const prefix = jsonPrefixes[index] as Buffer;
        writeJsonRaw(out, prefix, 0, prefix.length);
        if (!isKey && reader.readIsNull()) writeJsonRaw(out, NULL_JSON, 0, NULL_JSON.length);
        else writeJsonValue(reader, out, type.kind);
      }
      out.writeByte(CLOSE_BRACE);
    },

    writeTexts(reader, out, only) {
      out.writeByte(OPEN_BRACKET);
      let isFirst = true;
      for (const column of columns) {
        const { type, isKey } = column;
        if (only !== undefined && !only.has(column.name)) {
          skipColumn(reader, column);
          continue;
        }
        if (!isFirst) out.writeByte(COMMA);
        isFirst = false;
        if (!isKey && reader.readIsNull()) writeJsonRaw(out, NULL_JSON, 0, NULL_JSON.length);
        else writeTextValue(reader, out, type.kind);
      }
      out.writeByte(CLOSE_BRACKET);
    },
  };
}

function writeColumn(
  out: ByteWriter,
  { type, isKey }: Column,
  text: string | null,
  writeText: typeof writeValue,
): void {
  if (!isKey) out.writeByte(text === null ? NULL_BRANCH : VALUE_BRANCH);
  else if (text === null) throw new UnreadableTextError('a key, which is never null');
  if (text !== null) writeText(out, type, text);
}

/** A column of a PostgreSQL row, behind the branch of its union. @throws UnreadableTextError */
export function writePgColumn(out: ByteWriter, column: Column, pgText: string | null): void {
  writeColumn(out, column, pgText, writeValue);
}

function writeValue(out: ByteWriter, type: ValueType, pgText: string): void {
  switch (type.kind) {
    case 'string':
    case 'json':
      writeString(out, type.toWire === undefined ? pgText : type.toWire(pgText));
      break;
    case 'int':
    case 'long':
      writeIntegerText(out, pgText);
      break;
    case 'boolean':
      out.writeByte(booleanToWire(pgText) === 'true' ? 1 : 0);
      break;
    case 'float':
      writeFloat(out, parseFloatText(pgText));
      break;
    case 'double':
      writeDouble(out, parseFloatText(pgText));
      break;
    case 'bytes':
      writeBytea(out, pgText);
      break;
  }
}

function writeWireValue(out: ByteWriter, type: ValueType, wireText: string): void {
  switch (type.kind) {
    case 'string':
    case 'json':
      writeString(out, wireText);
      break;
    case 'boolean':
      if (wireText !== 'true' && wireText !== 'false') throw new UnreadableTextError('a boolean');
      out.writeByte(wireText === 'true' ? 1 : 0);
      break;
    case 'bytes':
      writeBytea(out, `\\x${Buffer.from(wireText, 'base64').toString('hex')}`);
      break;
    // Numbers have one text each, or PostgreSQL's is read as well.
    default:
      writeValue(out, type, wireText);
  }
}

/** @throws UnreadableMessageError */
export function skipColumn(reader: AvroReader, { type, isKey }: Column): void {
  if (!isKey && reader.readIsNull()) return;
  switch (type.kind) {
    case 'string':
    case 'json':
    case 'bytes':
      reader.skipString();
      break;
    case 'int':
    case 'long':
      reader.readInteger();
      break;
    default:
      readText(reader, type.kind);
  }
}

/** The value's wire text. @throws UnreadableMessageError */
export function readText(reader: AvroReader, kind: ValueType['kind']): string {
  switch (kind) {
    case 'string':
    case 'json':
      return reader.readString();
    case 'int':
    case 'long':
      return String(reader.readInteger());
    case 'boolean':
      return reader.readBoolean() ? 'true' : 'false';
    case 'float':
      return floatText(reader.readFloat());
    case 'double':
      return doubleText(reader.readDouble());
    case 'bytes':
      return reader.readBase64();
  }
}

/** The value's JSON. @throws UnreadableMessageError */
export function writeJsonValue(reader: AvroReader, out: ByteWriter, kind: ValueType['kind']): void {
  // `skipString` gives the start and moves `position` to the end, so it has to be the argument before.
  switch (kind) {
    case 'string':
      writeJsonString(out, reader.bytes, reader.skipString(), reader.position);
      break;
    case 'json':
      writeJsonRaw(out, reader.bytes, reader.skipString(), reader.position);
      break;
    case 'int':
    case 'long':
      writeJsonInteger(out, reader.readInteger());
      break;
    case 'boolean':
    case 'float':
    case 'double':
    case 'bytes':
      out.writeAscii(wireToJson(kind, readText(reader, kind)));
      break;
  }
}

/** A JSON string for every kind. The texts of numbers, booleans and bytes need no escapes. */
export function writeTextValue(reader: AvroReader, out: ByteWriter, kind: ValueType['kind']): void {
  if (kind === 'string' || kind === 'json') {
    writeJsonString(out, reader.bytes, reader.skipString(), reader.position);
    return;
  }
  out.writeByte(QUOTE);
  if (kind === 'int' || kind === 'long') writeJsonInteger(out, reader.readInteger());
  else out.writeAscii(readText(reader, kind));
  out.writeByte(QUOTE);
}
