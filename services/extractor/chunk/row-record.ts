import type { IHeaders, TopicMessages } from 'kafkajs';
import type { ByteWriter } from '../../../shared/values/byte-writer.ts';
import type { Batch } from './batch-sender.ts';

/** One object stands for the partition in all records of a chunk. */
export interface RecordTarget {
  readonly topic: string;
  readonly partition: number;
}

/** A row on its way to Kafka. Everything of it is read before `add` returns. */
export interface RowRecord {
  readonly key: string;
  readonly value: Readonly<Pick<ByteWriter, 'bytes' | 'length'>>;
  /** The same headers in two forms: for kafkajs, or written as a record has them. */
  readonly headers: { toHeaders(): IHeaders; write(out: ByteWriter): void };
  readonly target: RecordTarget;
}

/** Records of several partitions and topics, sent in one request. */
export interface RowBatch extends Batch<RowRecord> {
  readonly recordCount: number;
  /** For `producer.sendBatch`. Good until the next call of `add` or `reset`. */
  toTopicMessages(): TopicMessages[];
}
