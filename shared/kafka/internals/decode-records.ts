import type { IHeaders } from 'kafkajs';

// A record batch of magic 2; see "Record Batch" in Kafka's protocol guide. Places are counted from its start.
const LENGTH_AT = 8;
const MAGIC_AT = 16;
const ATTRIBUTES_AT = 21;
const FIRST_TIMESTAMP_AT = 27;
const MAX_TIMESTAMP_AT = 35;
const PRODUCER_ID_AT = 43;
const RECORD_COUNT_AT = 57;
const RECORDS_AT = 61;
/** The length is that of what follows it. */
const BEFORE_LENGTH_BYTES = 12;

const MAGIC = 2;
const COMPRESSION_MASK = 0x07;
const TIMED_BY_LOG_FLAG = 0x08;
const TRANSACTIONAL_FLAG = 0x10;
const CONTROL_FLAG = 0x20;

/**
 * The records of the batches that a fetch brought for one partition. The last batch may be cut off, as the broker does not
 * look where a batch ends; it comes whole with the next fetch.
 *
 * @returns undefined when a batch is compressed or of an old format, which the client's own decoder reads
 * @throws RangeError when a batch is not what it says
 */
export function decodeRecords(bytes: Buffer): FetchedRecord[] | undefined {
  const records: FetchedRecord[] = [];
  for (let start = 0; start + RECORDS_AT <= bytes.length; ) {
    const end = start + BEFORE_LENGTH_BYTES + bytes.readInt32BE(start + LENGTH_AT);
    if (bytes[start + MAGIC_AT] !== MAGIC) return undefined;
    if (end > bytes.length) break;
    const attributes = bytes.readInt16BE(start + ATTRIBUTES_AT);
    if ((attributes & COMPRESSION_MASK) !== 0) return undefined;
    const facts: BatchFacts = {
      firstOffset: Number(bytes.readBigInt64BE(start)),
      firstTimestamp: bytes.readBigInt64BE(start + FIRST_TIMESTAMP_AT),
      maxTimestamp: bytes.readBigInt64BE(start + MAX_TIMESTAMP_AT),
      isTimedByLog: (attributes & TIMED_BY_LOG_FLAG) !== 0,
      isControlBatch: (attributes & CONTROL_FLAG) !== 0,
      producerId: String(bytes.readBigInt64BE(start + PRODUCER_ID_AT)),
      inTransaction: (attributes & TRANSACTIONAL_FLAG) !== 0,
    };
    if (!Number.isSafeInteger(facts.firstOffset)) return undefined;
    const cursor = new VarintCursor(bytes, start + RECORDS_AT);
    for (let rest = bytes.readInt32BE(start + RECORD_COUNT_AT); rest > 0; rest -= 1) {
      const recordBytes = cursor.read();
      const next = cursor.position + recordBytes;
      const record = new FetchedRecord(cursor, facts);
      if (recordBytes < 0 || cursor.position > next || next > end) {
        throw new RangeError('a record is not as long as it says');
      }
      records.push(record);
      cursor.position = next;
    }
    start = end;
  }
  return records;
}

const ATTRIBUTES_BYTES = 1;

/** What the records of one batch have in common. */
export interface BatchFacts {
  readonly firstOffset: number;
  readonly firstTimestamp: bigint;
  readonly maxTimestamp: bigint;
  /** The broker gave all of them one time, the greatest. */
  readonly isTimedByLog: boolean;
  readonly isControlBatch: boolean;
  readonly producerId: string;
  readonly inTransaction: boolean;
}

/**
 * A record as kafkajs gives it to a consumer, but nothing of it is made before it is asked for: most readers look at a part,
 * and of a million rows every object counts.
 */
export class FetchedRecord {
  /** Of the whole fetch. */
  readonly bytes: Buffer;
  /** Where in `bytes` the headers start: their count, then names and values. */
  readonly headersStart: number;
  readonly batchContext: BatchFacts;
  readonly #timestampDelta: number;
  readonly #offsetDelta: number;
  readonly #keyStart: number;
  /** The length is -1 for null, here and below. */
  readonly #keyLength: number;
  readonly #valueStart: number;
  readonly #valueLength: number;
  #headers: IHeaders | undefined;

  /** `cursor` is at the record's attributes, and is at its headers afterwards. */
  constructor(cursor: VarintCursor, batch: BatchFacts) {
    this.bytes = cursor.bytes;
    this.batchContext = batch;
    cursor.position += ATTRIBUTES_BYTES;
    this.#timestampDelta = cursor.read();
    this.#offsetDelta = cursor.read();
    this.#keyLength = cursor.read();
    this.#keyStart = cursor.position;
    if (this.#keyLength > 0) cursor.position += this.#keyLength;
    this.#valueLength = cursor.read();
    this.#valueStart = cursor.position;
    if (this.#valueLength > 0) cursor.position += this.#valueLength;
    this.headersStart = cursor.position;
  }

  get magicByte(): number {
    return 2;
  }

  /** No record has any yet. */
  get attributes(): number {
    return 0;
  }

  get isControlRecord(): boolean {
    return this.batchContext.isControlBatch;
  }

  get offset(): string {
    return String(this.batchContext.firstOffset + this.#offsetDelta);
  }

  get timestamp(): string {
    const { isTimedByLog, firstTimestamp, maxTimestamp } = this.batchContext;
    return String(isTimedByLog ? maxTimestamp : firstTimestamp + BigInt(this.#timestampDelta));
  }

  get key(): Buffer | null {
    return this.#piece(this.#keyStart, this.#keyLength);
  }

  get value(): Buffer | null {
    return this.#piece(this.#valueStart, this.#valueLength);
  }

  /** A name that comes more than once has all its values. Kept, because readers ask for one header after the other. */
  get headers(): IHeaders {
    this.#headers ??= this.#readHeaders();
    return this.#headers;
  }

  #readHeaders(): IHeaders {
    // Without a prototype, so that a name like `toString` is only a name.
    const headers: Record<string, Buffer | null | (Buffer | null)[]> = Object.create(null);
    const cursor = new VarintCursor(this.bytes, this.headersStart);
    for (let rest = cursor.read(); rest > 0; rest -= 1) {
      const nameLength = cursor.read();
      const name = this.bytes.toString('utf8', cursor.position, cursor.position + nameLength);
      cursor.position += nameLength;
      const valueLength = cursor.read();
      const value = this.#piece(cursor.position, valueLength);
      if (valueLength > 0) cursor.position += valueLength;
      const earlier = headers[name];
      if (earlier === undefined) headers[name] = value;
      else headers[name] = Array.isArray(earlier) ? [...earlier, value] : [earlier, value];
    }
    // kafkajs has null for a header without a value too, though its types don't say so.
    return headers as IHeaders;
  }

  #piece(start: number, length: number): Buffer | null {
    return length < 0 ? null : this.bytes.subarray(start, start + length);
  }
}

/** Seven groups of seven bits are exact in a double; no count, length or time since a batch's first needs more. */
const MAX_EXACT_SHIFT = 49;

/** Reads zigzag varints, the numbers inside Kafka's record batches, one after the other. */
export class VarintCursor {
  readonly bytes: Buffer;
  position: number;

  constructor(bytes: Buffer, position: number) {
    this.bytes = bytes;
    this.position = position;
  }

  /** @throws RangeError past the end, and for a number that takes more than 49 bits */
  read(): number {
    const { bytes } = this;
    const first = bytes[this.position];
    if (first === undefined) throw new RangeError('a record ends early');
    this.position += 1;
    if (first < 0x80) return (first >>> 1) ^ -(first & 1);
    let zigzag = first & 0x7f;
    let scale = 128;
    for (let shift = 7; ; shift += 7) {
      if (shift === MAX_EXACT_SHIFT) throw new RangeError('a number in a record is too large');
      const byte = bytes[this.position];
      if (byte === undefined) throw new RangeError('a record ends early');
      this.position += 1;
      zigzag += (byte & 0x7f) * scale;
      if (byte < 0x80) return zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
      scale *= 128;
    }
  }
}
