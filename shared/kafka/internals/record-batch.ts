import type { Message, TopicMessages } from 'kafkajs';
import { integerSize, writeInteger, writeString } from '../../values/avro-writer.ts';
import { ByteWriter } from '../../values/byte-writer.ts';

export interface KafkaRecord {
  readonly key: string;
  /** Read before `add` returns. */
  readonly value: Readonly<Pick<ByteWriter, 'bytes' | 'length'>>;
  readonly headers: RecordHeaders;
}

export interface RecordHeaders {
  /** Writes their count, then each name and value behind its length. */
  write(out: ByteWriter): void;
}

/**
 * Records of one partition, in the form they have in Kafka's record batch ("Record" in its protocol guide; numbers are
 * zigzag varints, as in Avro).
 *
 * kafkajs encodes a record through seven buffers of a kilobyte, and groups records by partition by copying the group for
 * each of them; for rows that is two thirds of what an export costs. Here each record is written once, where it stays,
 * and kafkajs adds the batch's header, sequence numbers and checksum, and does the talking.
 */
export class RecordBatch {
  readonly #partition: number;
  readonly #records = new ByteWriter();
  #recordCount = 0;

  constructor(partition: number) {
    this.#partition = partition;
  }

  get byteCount(): number {
    return this.#records.length;
  }

  add({ key, value, headers }: KafkaRecord): void {
    const out = this.#records;
    // A record stands behind its length, which is known after it. Nearly always it takes two bytes and the guess is right.
    const lengthAt = out.length;
    const start = lengthAt + USUAL_LENGTH_BYTES;
    out.reserve(USUAL_LENGTH_BYTES);
    out.length = start;
    out.writeByte(NO_ATTRIBUTES);
    writeInteger(out, 0); // timestamp, from the batch's
    writeInteger(out, this.#recordCount); // offset, from the batch's
    writeString(out, key);
    writeInteger(out, value.length);
    out.reserve(value.length);
    out.length += value.bytes.copy(out.bytes, out.length, 0, value.length);
    headers.write(out);
    const length = out.length - start;
    const lengthBytes = integerSize(length);
    if (lengthBytes !== USUAL_LENGTH_BYTES) {
      out.reserve(lengthBytes);
      out.bytes.copyWithin(lengthAt + lengthBytes, start, start + length);
    }
    out.length = lengthAt;
    writeInteger(out, length);
    out.length += length;
    this.#recordCount += 1;
  }

  /** Records that were added since the last reset. */
  get recordCount(): number {
    return this.#recordCount;
  }

  reset(): void {
    this.#records.reset();
    this.#recordCount = 0;
  }

  get partition(): number {
    return this.#partition;
  }

  /**
   * Stands in for the messages of one partition. kafkajs calls `map`, first for timestamps and then for encoded records, of which
   * the first one here holds all bytes and the others are not there.
   */
  toPartitionMessages(): object {
    const all = this.#records.bytes.subarray(0, this.#records.length);
    const length = this.#recordCount;
    return {
      length,
      map: (toResult: (message: Message, index: number) => unknown) =>
        isEncoded(toResult(EMPTY_MESSAGE, 0)) ? onlyFirst(encoded(all), length) : [],
    };
  }
}

/**
 * Stands in for an array of messages of one topic, whose partitions are given, each once. It has what kafkajs calls on one: `find`
 * looks for messages without a value, `reduce` groups by partition. A test compares the request with that of plain messages.
 */
export function toMessages(batches: readonly RecordBatch[]): Message[] {
  const messages = {
    find: () => undefined,
    reduce: () => Object.fromEntries(batches.map((batch) => [batch.partition, batch.toPartitionMessages()])),
  };
  return messages as unknown as Message[];
}

const NO_ATTRIBUTES = 0;
/** Of records of 64 bytes and more, below 8 kB. */
const USUAL_LENGTH_BYTES = 2;
const EMPTY_MESSAGE: Message = { value: Buffer.alloc(0) };

/** What kafkajs takes for an encoder that has been written to. */
function encoded(bytes: Buffer): { buf: Buffer; buffer: Buffer } {
  return { buf: bytes, buffer: bytes };
}

/** As long as it says, but only the first place is filled: the ways in which kafkajs walks an array pass over the others. */
function onlyFirst<T>(first: T, length: number): T[] {
  const array = new Array<T>(length);
  array[0] = first;
  return array;
}

function isEncoded(result: unknown): boolean {
  return typeof result === 'object' && result !== null && 'buf' in result;
}

/** Records of a chunk share one object. Those of another chunk may have another for the same partition. */
export interface RecordTarget {
  readonly topic: string;
  readonly partition: number;
}

export interface TargetedRecord extends KafkaRecord {
  readonly target: RecordTarget;
}

/**
 * Records of several partitions and topics on their way in one request, because many small requests cost more than all that is
 * in them. Of a large chunk there is one partition.
 */
export class MultiPartitionBatch {
  /** By topic and partition: kafkajs takes each once. */
  #parts = new Map<string, Part>();
  #latest: Part | undefined;
  #byteCount = 0;
  #recordCount = 0;

  get byteCount(): number {
    return this.#byteCount;
  }

  get recordCount(): number {
    return this.#recordCount;
  }

  add(record: TargetedRecord): void {
    const { records } = this.#latest?.target === record.target ? this.#latest : this.#open(record.target);
    const before = records.byteCount;
    records.add(record);
    this.#byteCount += records.byteCount - before;
    this.#recordCount += 1;
  }

  /** Of the buffers one is kept, that of the chunk which goes on. */
  reset(): void {
    this.#parts = new Map();
    if (this.#latest !== undefined) {
      this.#latest.records.reset();
      this.#parts.set(nameOf(this.#latest.target), this.#latest);
    }
    this.#byteCount = 0;
    this.#recordCount = 0;
  }

  /** The partitions that have records, each once. */
  targets(): RecordTarget[] {
    return this.#filled().map(({ target }) => target);
  }

  /** For `producer.sendBatch`. Good until the next call of `add` or `reset`. */
  toTopicMessages(): TopicMessages[] {
    return [...Map.groupBy(this.#filled(), ({ target }) => target.topic)].map(([topic, parts]) => ({
      topic,
      messages: toMessages(parts.map(({ records }) => records)),
    }));
  }

  #filled(): Part[] {
    return [...this.#parts.values()].filter(({ records }) => records.recordCount > 0);
  }

  #open(target: RecordTarget): Part {
    const name = nameOf(target);
    const records = this.#parts.get(name)?.records ?? new RecordBatch(target.partition);
    this.#latest = { target, records };
    this.#parts.set(name, this.#latest);
    return this.#latest;
  }
}

interface Part {
  readonly target: RecordTarget;
  readonly records: RecordBatch;
}

function nameOf({ topic, partition }: RecordTarget): string {
  return `${topic}/${partition}`;
}
