import type { RowTexts, RowType } from '../domain/row-type.ts';
import { AvroReader } from './avro-reader.ts';
import { ByteWriter } from './byte-writer.ts';
import { createRowJson } from './json-text.ts';
import type { PgRow } from './pg-row.ts';
import { createPgRowWriter } from './pg-row-writer.ts';
import { createRowBody } from './row-body.ts';
import { type RecordNames, type RowSchema, rowSchema } from './row-schema.ts';
import { WIRE_HEADER_BYTES, writeWireHeader } from './wire-format.ts';

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
  /** The same, appended to `out` as UTF-8: for a file of many rows. With `only`, of these columns. @throws UnreadableMessageError */
  appendJson(message: Buffer, out: ByteWriter, only?: ReadonlySet<string>): void;
  /**
   * `decode(message)` as a JSON array, appended to `out` as UTF-8. Unlike the row's JSON it tells SQL NULL (`null`) from a
   * JSON null (`"null"`), and has no number that a reader could round. @throws UnreadableMessageError
   */
  appendTexts(message: Buffer, out: ByteWriter, only?: ReadonlySet<string>): void;
  /** The only serializer, so an export row and an event's data have the same text for one row version. */
  toJson(wireTexts: RowTexts): string;
}

export function createRowCodec(rowType: RowType, names: RecordNames): RowCodec {
  const body = createRowBody(rowType);
  const rows = createPgRowWriter(rowType);
  const { toJson } = createRowJson(rowType);
  const scratch = new ByteWriter();

  function appendJson(message: Buffer, out: ByteWriter, only?: ReadonlySet<string>): void {
    const reader = new AvroReader(message, WIRE_HEADER_BYTES);
    body.writeJson(reader, out, only);
    reader.finish();
  }

  return {
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
    decode(message, offset = WIRE_HEADER_BYTES) {
      const reader = new AvroReader(message, offset);
      const row = body.read(reader);
      reader.finish();
      return row;
    },
    decodeToJson(message) {
      scratch.reset();
      appendJson(message, scratch);
      return scratch.toText();
    },
    appendJson,
    appendTexts(message, out, only) {
      const reader = new AvroReader(message, WIRE_HEADER_BYTES);
      body.writeTexts(reader, out, only);
      reader.finish();
    },
    toJson,
  };
}
