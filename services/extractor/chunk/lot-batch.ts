import type { TopicMessages } from 'kafkajs';
import type { Batch } from './batch-sender.ts';
import { type KafkaRecord, RecordBatch, toMessages } from './record-batch.ts';

/** One object stands for the partition in all records of a chunk. */
export interface RecordPlace {
  readonly topic: string;
  readonly partition: number;
}

export interface PlacedRecord extends KafkaRecord {
  readonly place: RecordPlace;
}

/**
 * Records of several partitions and topics on their way in one request, because many small requests cost more than all that is
 * in them. Of a large chunk there is one partition.
 */
export class LotBatch implements Batch<PlacedRecord> {
  #parts = new Map<RecordPlace, RecordBatch>();
  #latest: { readonly place: RecordPlace; readonly records: RecordBatch } | undefined;
  #byteCount = 0;
  #recordCount = 0;

  get byteCount(): number {
    return this.#byteCount;
  }

  get recordCount(): number {
    return this.#recordCount;
  }

  add(record: PlacedRecord): void {
    const { records } = this.#latest?.place === record.place ? this.#latest : this.#open(record.place);
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
      this.#parts.set(this.#latest.place, this.#latest.records);
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

  #open(place: RecordPlace): { readonly records: RecordBatch } {
    const records = this.#parts.get(place) ?? new RecordBatch(place.partition);
    this.#parts.set(place, records);
    this.#latest = { place, records };
    return this.#latest;
  }
}
