import type { TopicMessages } from 'kafkajs';
import { type KafkaRecord, RecordBatch, toMessages } from './record-batch.ts';

/** One object stands for the partition in all records of a chunk. */
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
  #parts = new Map<RecordTarget, RecordBatch>();
  #latest: { readonly target: RecordTarget; readonly records: RecordBatch } | undefined;
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
      this.#parts.set(this.#latest.target, this.#latest.records);
    }
    this.#byteCount = 0;
    this.#recordCount = 0;
  }

  /** For `producer.sendBatch`. Good until the next call of `add` or `reset`. */
  toTopicMessages(): TopicMessages[] {
    const filled = [...this.#parts].filter(([, records]) => records.recordCount > 0);
    return [...Map.groupBy(filled, ([{ topic }]) => topic)].map(([topic, parts]) => ({
      topic,
      messages: toMessages(parts.map(([, records]) => records)),
    }));
  }

  #open(target: RecordTarget): { readonly records: RecordBatch } {
    const records = this.#parts.get(target) ?? new RecordBatch(target.partition);
    this.#parts.set(target, records);
    this.#latest = { target, records };
    return this.#latest;
  }
}
