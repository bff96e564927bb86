import type { IHeaders } from 'kafkajs';
import { VarintCursor } from './varint-cursor.ts';

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
