import type { IHeaders, TopicMessages } from 'kafkajs';
import type { ByteWriter } from '../../../shared/values/byte-writer.ts';
import type { Batch } from './batch-sender.ts';

/** Records of a chunk share one object. Those of another chunk may have another for the same partition. */
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
  /** The partitions that have records. */
  targets(): readonly RecordTarget[];
  /** For `producer.sendBatch`. Good until the next call of `add` or `reset`. */
  toTopicMessages(): TopicMessages[];
}
