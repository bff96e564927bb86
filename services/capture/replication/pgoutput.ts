import type { Lsn } from '../../../shared/domain/lsn.ts';
import { CHECKED_UTF8, type TextDecoding } from './text-decoding.ts';
import { toUnixMicros } from './wal-frames.ts';

/** One value as PostgreSQL's text; null for NULL; undefined for a TOASTed value that did not change and was not sent. */
export type TupleValue = string | null | undefined;

/** A row's values in the order of its relation's columns. */
export type Tuple = readonly TupleValue[];

/**
 * A row before its change. With `key` only the replica identity's columns are filled; the others are null, whatever
 * their value was.
 */
export interface OldTuple {
  readonly kind: 'key' | 'full';
  readonly values: Tuple;
}

export interface RelationColumn {
  readonly name: string;
  readonly typeOid: number;
  readonly typeModifier: number;
  /** Part of the replica identity; every column is, under FULL. */
  readonly isInIdentity: boolean;
}

export interface RelationMessage {
  readonly kind: 'relation';
  readonly id: number;
  readonly schema: string;
  readonly name: string;
  readonly columns: readonly RelationColumn[];
}

/** Values of a row message that can't be decoded as text. The tuples hold empty texts in their places. */
export interface UnreadableValues {
  /** Places in the relation's columns, in the old or the new version of the row. */
  readonly places: readonly number[];
  readonly reason: string;
}

/** Values of a new version that were not sent. They were read from the row later, and may include a later change. */
export interface FilledValues {
  /** Places in the relation's columns. */
  readonly places: readonly number[];
  /** See `FilledColumns`. */
  readonly lsn: Lsn;
}

/** A message of pgoutput, protocol version 1. See "Logical Replication Message Formats" in PostgreSQL's manual. */
export type PgOutputMessage =
  | RelationMessage
  | {
      readonly kind: 'begin';
      /** The LSN of the commit record, which is already written: a transaction is sent after its commit. */
      readonly commitLsn: Lsn;
      readonly committedAtMicros: bigint;
      /** The top-level transaction, 32 bits. */
      readonly xid: number;
    }
  | { readonly kind: 'commit'; readonly commitLsn: Lsn; readonly endLsn: Lsn }
  | { readonly kind: 'origin'; readonly name: string }
  | { readonly kind: 'type'; readonly oid: number; readonly schema: string; readonly name: string }
  | {
      readonly kind: 'insert';
      readonly relationId: number;
      readonly after: Tuple;
      readonly unreadable?: UnreadableValues;
    }
  | {
      readonly kind: 'update';
      readonly relationId: number;
      readonly before: OldTuple | null;
      readonly after: Tuple;
      readonly filled?: FilledValues;
      readonly unreadable?: UnreadableValues;
    }
  | {
      readonly kind: 'delete';
      readonly relationId: number;
      readonly before: OldTuple;
      readonly unreadable?: UnreadableValues;
    }
  | { readonly kind: 'truncate'; readonly relationIds: readonly number[] }
  | {
      readonly kind: 'message';
      readonly isTransactional: boolean;
      readonly lsn: Lsn;
      readonly prefix: string;
      readonly content: string;
    };

/** Bytes that protocol version 1 does not allow: a bug, or another protocol. Never ignored. */
export class PgOutputError extends Error {
  override readonly name = 'PgOutputError';
}

const CHAR = {
  begin: 0x42,
  commit: 0x43,
  origin: 0x4f,
  relation: 0x52,
  type: 0x59,
  insert: 0x49,
  update: 0x55,
  delete: 0x44,
  truncate: 0x54,
  message: 0x4d,
  newTuple: 0x4e,
  keyTuple: 0x4b,
  oldTuple: 0x4f,
  nullValue: 0x6e,
  unchangedValue: 0x75,
  textValue: 0x74,
} as const;

/** Larger than any topic accepts. A value of some hundred megabytes would not even fit into a JavaScript string. */
export const MAX_VALUE_BYTES = 64 * 1024 * 1024;

/**
 * Decodes one message. Nothing in the result points into `bytes`.
 *
 * @throws PgOutputError when the bytes are not a message of protocol version 1, whole and with nothing after it
 */
export function readPgOutput(bytes: Buffer, decoding: TextDecoding = CHECKED_UTF8): PgOutputMessage {
  const reader = new Reader(bytes, decoding);
  try {
    const message = withUnreadable(readMessage(reader), reader);
    if (reader.at !== bytes.length) throw new PgOutputError(`${bytes.length - reader.at} bytes too many`);
    return message;
  } catch (cause) {
    if (cause instanceof PgOutputError) throw cause;
    throw new PgOutputError(`a message of ${bytes.length} bytes is cut off`, { cause });
  }
}

function withUnreadable(
  message: PgOutputMessage,
  { unreadablePlaces, unreadableReason }: Reader,
): PgOutputMessage {
  if (unreadablePlaces === undefined) return message;
  const unreadable = { places: [...unreadablePlaces], reason: unreadableReason };
  return message.kind === 'insert' || message.kind === 'update' || message.kind === 'delete'
    ? { ...message, unreadable }
    : message;
}

function readMessage(reader: Reader): PgOutputMessage {
  const tag = reader.byte();
  switch (tag) {
    case CHAR.begin:
      return {
        kind: 'begin',
        commitLsn: reader.uint64(),
        committedAtMicros: toUnixMicros(reader.int64()),
        xid: reader.uint32(),
      };
    case CHAR.commit: {
      reader.byte();
      const commit = { kind: 'commit', commitLsn: reader.uint64(), endLsn: reader.uint64() } as const;
      reader.int64();
      return commit;
    }
    case CHAR.origin:
      reader.uint64();
      return { kind: 'origin', name: reader.text() };
    case CHAR.relation:
      return readRelation(reader);
    case CHAR.type:
      return { kind: 'type', oid: reader.uint32(), schema: reader.text(), name: reader.text() };
    case CHAR.insert: {
      const relationId = reader.uint32();
      reader.expect(CHAR.newTuple);
      return { kind: 'insert', relationId, after: readTuple(reader) };
    }
    case CHAR.update:
      return readUpdate(reader);
    case CHAR.delete: {
      const relationId = reader.uint32();
      return { kind: 'delete', relationId, before: readOldTuple(reader, reader.byte()) };
    }
    case CHAR.truncate: {
      const count = reader.uint32();
      reader.byte();
      return { kind: 'truncate', relationIds: Array.from({ length: count }, () => reader.uint32()) };
    }
    case CHAR.message:
      return {
        kind: 'message',
        isTransactional: (reader.byte() & 1) === 1,
        lsn: reader.uint64(),
        prefix: reader.text(),
        content: reader.sizedText(),
      };
    default:
      throw new PgOutputError(`unknown message 0x${tag.toString(16)}`);
  }
}

function readRelation(reader: Reader): RelationMessage {
  const id = reader.uint32();
  const schema = reader.text();
  const name = reader.text();
  // The replica identity's letter. The columns' flags contain the same in more detail.
  reader.byte();
  const columns = Array.from({ length: reader.uint16() }, () => ({
    isInIdentity: (reader.byte() & 1) === 1,
    name: reader.text(),
    typeOid: reader.uint32(),
    typeModifier: reader.int32(),
  }));
  // The protocol sends an empty string for the system schema.
  return { kind: 'relation', id, schema: schema === '' ? 'pg_catalog' : schema, name, columns };
}

function readUpdate(reader: Reader): PgOutputMessage {
  const relationId = reader.uint32();
  const tag = reader.byte();
  if (tag === CHAR.newTuple) return { kind: 'update', relationId, before: null, after: readTuple(reader) };
  const before = readOldTuple(reader, tag);
  reader.expect(CHAR.newTuple);
  return { kind: 'update', relationId, before, after: readTuple(reader) };
}

function readOldTuple(reader: Reader, tag: number): OldTuple {
  if (tag === CHAR.keyTuple) return { kind: 'key', values: readTuple(reader) };
  if (tag === CHAR.oldTuple) return { kind: 'full', values: readTuple(reader) };
  throw new PgOutputError(`unknown tuple 0x${tag.toString(16)}`);
}

function readTuple(reader: Reader): Tuple {
  const count = reader.uint16();
  const values: TupleValue[] = new Array(count);
  for (let index = 0; index < count; index += 1) {
    const tag = reader.byte();
    if (tag === CHAR.textValue) values[index] = reader.value(index);
    else if (tag === CHAR.nullValue) values[index] = null;
    else if (tag === CHAR.unchangedValue) values[index] = undefined;
    else throw new PgOutputError(`unknown value 0x${tag.toString(16)}`);
  }
  return values;
}

/** Reads from `at` on. Reading past the end throws Node's RangeError. */
class Reader {
  readonly bytes: Buffer;
  readonly decoding: TextDecoding;
  at = 0;
  unreadablePlaces: Set<number> | undefined;
  unreadableReason = '';

  constructor(bytes: Buffer, decoding: TextDecoding) {
    this.bytes = bytes;
    this.decoding = decoding;
  }

  byte(): number {
    const value = this.bytes.readUInt8(this.at);
    this.at += 1;
    return value;
  }

  expect(tag: number): void {
    const found = this.byte();
    if (found !== tag) throw new PgOutputError(`0x${found.toString(16)} in place of 0x${tag.toString(16)}`);
  }

  uint16(): number {
    const value = this.bytes.readUInt16BE(this.at);
    this.at += 2;
    return value;
  }

  uint32(): number {
    const value = this.bytes.readUInt32BE(this.at);
    this.at += 4;
    return value;
  }

  int32(): number {
    return this.uint32() | 0;
  }

  uint64(): bigint {
    const value = this.bytes.readBigUInt64BE(this.at);
    this.at += 8;
    return value;
  }

  int64(): bigint {
    return BigInt.asIntN(64, this.uint64());
  }

  /** Ends with a zero byte. */
  text(): string {
    const end = this.bytes.indexOf(0, this.at);
    if (end === -1) throw new PgOutputError('a name has no end');
    const value = this.decoding.decode(this.bytes, this.at, end);
    this.at = end + 1;
    return value;
  }

  /** A column's value, like `sizedText`. Empty, and noted as unreadable, when it can't be decoded as text. */
  value(place: number): string {
    const length = this.bytes.readUInt32BE(this.at);
    const start = this.at + 4;
    const isTooLarge = length > MAX_VALUE_BYTES;
    if (!isTooLarge && this.decoding.isText(this.bytes, start, start + length)) {
      return this.sizedText();
    }
    if (start + length > this.bytes.length) throw new PgOutputError('a value is cut off');
    this.at = start + length;
    this.unreadablePlaces ??= new Set();
    this.unreadablePlaces.add(place);
    this.unreadableReason = isTooLarge
      ? `it has ${length} bytes, ${MAX_VALUE_BYTES} at most`
      : `it is not ${this.decoding.encoding}`;
    return '';
  }

  /** Starts with its length in bytes. */
  sizedText(): string {
    const length = this.uint32();
    const end = this.at + length;
    if (end > this.bytes.length) throw new PgOutputError('a value is cut off');
    const value = this.decoding.decode(this.bytes, this.at, end);
    this.at = end;
    return value;
  }
}
