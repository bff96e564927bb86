import type { ChangeOp, DecodedChange, EncodableChange, FilledColumns } from '../domain/change.ts';
import type { RowTexts, RowType } from '../domain/row-type.ts';
import { AvroReader, UnreadableMessageError } from './avro-reader.ts';
import { writeInteger, writeLong, writeString } from './avro-writer.ts';
import { ByteWriter } from './byte-writer.ts';
import { type ChangeForm, type ChangeSchema, changeSchema, readChangeSchema } from './change-schema.ts';
import { createRowBody, type RowBody } from './row-body.ts';
import { WIRE_HEADER_BYTES, writeWireHeader } from './wire-format.ts';

/** The changes of one resource as Avro messages. */
export interface ChangeCodec {
  /** The Avro schema, for the registry. Its full name is `<namespace>.<resource>.Change`. */
  readonly schema: ChangeSchema;
  /**
   * A message in the registry's wire format.
   *
   * @throws UnencodableRowError when a text is not of its column's type, or a key column is null
   */
  encode(change: EncodableChange, registryId: number): Buffer;
  /** Reads messages of `encode`. For those of another schema use `createChangeDecoder`. @throws UnreadableMessageError */
  decode(message: Buffer): DecodedChange;
}

/** Reads the changes that were written with one schema of the registry. */
export interface ChangeDecoder {
  readonly rowType: RowType;
  /** @throws UnreadableMessageError */
  decode(message: Buffer): DecodedChange;
}

const OPS: ReadonlySet<string> = new Set<ChangeOp>(['insert', 'update', 'delete', 'truncate']);
/** Which later fields a message's schema has. */
type EnvelopeForm = Pick<ChangeForm, 'hasBulkJobId' | 'hasResetReason' | 'hasFilled'>;

const CURRENT_FORM: EnvelopeForm = { hasBulkJobId: true, hasResetReason: true, hasFilled: true };

const NULL_BRANCH = 0;
/** The second branch of a union, as Avro writes the number 1. */
const VALUE_BRANCH = 2;
/** PostgreSQL's maximum of columns in a table. A message with more names is damaged. */
const MAX_COLUMN_NAMES = 1_600;

export function createChangeCodec(rowType: RowType, names: { readonly namespace: string }): ChangeCodec {
  const body = createRowBody(rowType);
  const scratch = new ByteWriter();
  return {
    schema: changeSchema(rowType, names.namespace),

    encode(change, registryId) {
      scratch.reset();
      writeWireHeader(scratch, registryId);
      writeString(scratch, change.op);
      writeString(scratch, change.account);
      writeString(scratch, change.resource);
      writeRow(scratch, body, change.before);
      writeRow(scratch, body, change.after);
      writeNames(scratch, change.unchanged);
      writeNames(scratch, change.missing);
      writeLong(scratch, change.source.lsn);
      writeLong(scratch, change.source.commitLsn);
      writeLong(scratch, change.source.xid);
      writeInteger(scratch, change.source.index);
      writeLong(scratch, change.source.committedAtMicros);
      writeText(scratch, change.source.bulkJobId);
      writeText(scratch, change.resetReason ?? null);
      writeFilled(scratch, change.filled);
      return scratch.toBuffer();
    },

    decode: (message) => decode(message, body, CURRENT_FORM),
  };
}

/** @throws ForeignSchemaError when the schema was not made by `changeSchema` */
export function createChangeDecoder(schema: unknown): ChangeDecoder {
  const form = readChangeSchema(schema);
  const body = createRowBody(form.rowType);
  const { resource } = form.rowType;
  return {
    rowType: form.rowType,
    decode(message) {
      const change = decode(message, body, form);
      // A registry that was emptied gives its IDs again: tables with the same columns would be taken for each other.
      if (change.resource !== resource)
        throw new UnreadableMessageError(`it is of ${change.resource}, and its schema of ${resource}`);
      return change;
    },
  };
}

function decode(message: Buffer, body: RowBody, form: EnvelopeForm): DecodedChange {
  const reader = new AvroReader(message, WIRE_HEADER_BYTES);
  // A literal's members are evaluated from top to bottom, which is the order of the fields.
  const change = {
    op: readOp(reader),
    account: reader.readString(),
    resource: reader.readString(),
    before: readRow(reader, body),
    after: readRow(reader, body),
    unchanged: readNames(reader),
    missing: readNames(reader),
    source: {
      lsn: reader.readLong(),
      commitLsn: reader.readLong(),
      xid: reader.readLong(),
      index: Number(reader.readInteger()),
      committedAtMicros: reader.readLong(),
      bulkJobId: form.hasBulkJobId ? readText(reader) : null,
    },
  };
  const resetReason = form.hasResetReason ? readText(reader) : null;
  const filled = form.hasFilled ? readFilled(reader) : undefined;
  reader.finish();
  if (resetReason === null && filled === undefined) return change;
  return {
    ...change,
    ...(resetReason === null ? {} : { resetReason }),
    ...(filled === undefined ? {} : { filled }),
  };
}

function readOp(reader: AvroReader): ChangeOp {
  const op = reader.readString();
  if (!isOp(op)) throw new UnreadableMessageError('its op is unknown');
  return op;
}

function isOp(text: string): text is ChangeOp {
  return OPS.has(text);
}

function writeRow(out: ByteWriter, body: RowBody, row: RowTexts | null): void {
  out.writeByte(row === null ? NULL_BRANCH : VALUE_BRANCH);
  if (row !== null) body.write(out, row);
}

function readRow(reader: AvroReader, body: RowBody): RowTexts | null {
  return reader.readIsNull() ? null : body.read(reader);
}

function writeText(out: ByteWriter, text: string | null): void {
  out.writeByte(text === null ? NULL_BRANCH : VALUE_BRANCH);
  if (text !== null) writeString(out, text);
}

function readText(reader: AvroReader): string | null {
  return reader.readIsNull() ? null : reader.readString();
}

function writeFilled(out: ByteWriter, filled: FilledColumns | undefined): void {
  out.writeByte(filled === undefined ? NULL_BRANCH : VALUE_BRANCH);
  if (filled === undefined) return;
  writeNames(out, filled.columns);
  writeLong(out, filled.lsn);
}

function readFilled(reader: AvroReader): FilledColumns | undefined {
  return reader.readIsNull() ? undefined : { columns: readNames(reader), lsn: reader.readLong() };
}

/** An array of strings: a block with its count, and an empty block as the end. */
function writeNames(out: ByteWriter, names: readonly string[]): void {
  if (names.length > 0) writeInteger(out, names.length);
  for (const name of names) writeString(out, name);
  writeInteger(out, 0);
}

function readNames(reader: AvroReader): string[] {
  const names: string[] = [];
  for (;;) {
    const count = Number(reader.readInteger());
    if (count === 0) return names;
    // Avro also allows a negative count followed by the block's size, which this codec never writes.
    if (count < 0 || names.length + count > MAX_COLUMN_NAMES) {
      throw new UnreadableMessageError('it names more columns than a table has');
    }
    for (let index = 0; index < count; index += 1) names.push(reader.readString());
  }
}
