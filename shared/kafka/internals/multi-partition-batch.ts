import type { TopicMessages } from 'kafkajs';
import { type KafkaRecord, RecordBatch, toMessages } from './record-batch.ts';

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
