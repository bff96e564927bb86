import { createRequire } from 'node:module';
import type { IHeaders, Message } from 'kafkajs';
import { writeInteger, writeString } from '../../values/avro-writer.ts';
import { ByteWriter } from '../../values/byte-writer.ts';
import type { EncodedRequest, Producer, ResponseReader } from './cluster.ts';
import { crc32c } from './crc32c.ts';

const require = createRequire(import.meta.url);

/** Where a partition's records went. */
export interface ProducedPartition {
  readonly partition: number;
  readonly baseOffset: string;
}

export interface ProduceResponse {
  readonly topics: readonly {
    readonly topicName: string;
    readonly partitions: readonly ProducedPartition[];
  }[];
  /** For this long the broker reads nothing more from the connection, in milliseconds: a quota is used up. */
  readonly clientSideThrottleTime?: number;
}

/** kafkajs's own, which rejects with the error of a partition that did not take its records. */
export const PRODUCE_RESPONSE: ResponseReader<ProduceResponse> = require('kafkajs/src/protocol/requests/produce/v7/response.js');

export interface PartitionRecords {
  readonly topic: string;
  readonly partition: number;
  /** Of the partition's first record here, counted per producer and partition. */
  readonly firstSequence: number;
  readonly messages: readonly Message[];
}

export interface ProduceRequest {
  readonly transactionalId: string;
  readonly producer: Producer;
  readonly timeoutMs: number;
  readonly atMs: number;
  /** Of any topics, those of one topic one after the other. */
  readonly partitions: readonly PartitionRecords[];
}

const PRODUCE_API_KEY = 0;
/** The newest that brokers since 2.1 and before the flexible encoding speak. */
const PRODUCE_VERSION = 7;
/** A record counts as written once all in-sync replicas have it. */
const ALL_REPLICAS = -1;
const MAGIC = 2;
/** The broker writes its own. */
const NO_LEADER_EPOCH = 0;
const TRANSACTIONAL_ATTRIBUTE = 1 << 4;
const NO_RECORD_ATTRIBUTES = 0;
/** In a record batch, what its checksum covers starts behind the offset, the length, the epoch, the magic byte and the checksum. */
const CHECKED_FROM = 8 + 4 + 4 + 1 + 4;
/** What a batch's length counts starts behind the offset and the length. */
const COUNTED_FROM = 8 + 4;

/**
 * A Produce request as one buffer (see "Produce API" and "Record Batch" in Kafka's protocol guide). kafkajs makes a dozen
 * buffers a record, and groups records by partition in quadratic time, which was a third of capture's work.
 */
export function encodeProduce(request: ProduceRequest): EncodedRequest {
  const out = new ByteWriter();
  writeShortString(out, request.transactionalId);
  writeInt16(out, ALL_REPLICAS);
  writeInt32(out, request.timeoutMs);
  const topics = Map.groupBy(request.partitions, ({ topic }) => topic);
  writeInt32(out, topics.size);
  for (const [topic, partitions] of topics) {
    writeShortString(out, topic);
    writeInt32(out, partitions.length);
    for (const records of partitions) {
      writeInt32(out, records.partition);
      const sizeAt = out.length;
      writeInt32(out, 0);
      writeBatch(out, records, request);
      out.bytes.writeInt32BE(out.length - sizeAt - 4, sizeAt);
    }
  }
  const buffer = out.bytes.subarray(0, out.length);
  return {
    apiKey: PRODUCE_API_KEY,
    apiVersion: PRODUCE_VERSION,
    apiName: 'Produce',
    encode: async () => ({ buf: buffer, buffer }),
  };
}

function writeBatch(
  out: ByteWriter,
  { messages, firstSequence }: PartitionRecords,
  { producer, atMs }: ProduceRequest,
): void {
  const start = out.length;
  writeInt64(out, 0n); // offset, which the broker gives
  writeInt32(out, 0); // length, below
  writeInt32(out, NO_LEADER_EPOCH);
  out.writeByte(MAGIC);
  writeInt32(out, 0); // checksum, below
  writeInt16(out, TRANSACTIONAL_ATTRIBUTE);
  writeInt32(out, messages.length - 1);
  writeInt64(out, BigInt(atMs));
  writeInt64(out, BigInt(atMs));
  writeInt64(out, BigInt(producer.producerId.toString()));
  writeInt16(out, producer.producerEpoch);
  writeInt32(out, firstSequence);
  writeInt32(out, messages.length);
  const body = new ByteWriter();
  for (const [index, message] of messages.entries()) {
    body.reset();
    writeRecord(body, message, index);
    writeInteger(out, body.length);
    writeBytes(out, body.bytes.subarray(0, body.length));
  }
  out.bytes.writeInt32BE(out.length - start - COUNTED_FROM, start + 8);
  const checksum = crc32c(out.bytes.subarray(start + CHECKED_FROM, out.length));
  out.bytes.writeUInt32BE(checksum, start + CHECKED_FROM - 4);
}

/** All numbers in it are zigzag varints, as in Avro. */
function writeRecord(out: ByteWriter, { key, value, headers }: Message, index: number): void {
  out.writeByte(NO_RECORD_ATTRIBUTES);
  writeInteger(out, 0); // time, from the batch's
  writeInteger(out, index);
  writeContent(out, key ?? null);
  writeContent(out, value);
  writeHeaders(out, headers ?? {});
}

/** Two passes over the names, because arrays of entries would be most of the garbage of a record. */
function writeHeaders(out: ByteWriter, headers: IHeaders): void {
  let count = 0;
  for (const name in headers) {
    const content = headers[name];
    count += Array.isArray(content) ? content.length : 1;
  }
  writeInteger(out, count);
  for (const name in headers) {
    const content = headers[name];
    if (Array.isArray(content)) for (const each of content) writeHeader(out, name, each);
    else writeHeader(out, name, content ?? null);
  }
}

function writeHeader(out: ByteWriter, name: string, content: string | Buffer | null): void {
  writeString(out, name);
  writeContent(out, content);
}

function writeContent(out: ByteWriter, content: string | Buffer | null): void {
  if (content === null) writeInteger(out, -1);
  else if (typeof content === 'string') writeString(out, content);
  else {
    writeInteger(out, content.length);
    writeBytes(out, content);
  }
}

function writeBytes(out: ByteWriter, bytes: Buffer): void {
  out.reserve(bytes.length);
  bytes.copy(out.bytes, out.length);
  out.length += bytes.length;
}

function writeShortString(out: ByteWriter, text: string): void {
  writeInt16(out, Buffer.byteLength(text));
  out.reserve(Buffer.byteLength(text));
  out.length += out.bytes.write(text, out.length, 'utf8');
}

function writeInt16(out: ByteWriter, value: number): void {
  out.reserve(2);
  out.length = out.bytes.writeInt16BE(value, out.length);
}

function writeInt32(out: ByteWriter, value: number): void {
  out.reserve(4);
  out.length = out.bytes.writeInt32BE(value, out.length);
}

function writeInt64(out: ByteWriter, value: bigint): void {
  out.reserve(8);
  out.length = out.bytes.writeBigInt64BE(value, out.length);
}
