import type { Message, TopicMessages } from 'kafkajs';
import type { RecordTarget, RowBatch, RowRecord } from './row-record.ts';

/** What a record takes beside its key and value, roughly: its headers and the lengths of everything. */
const OVERHEAD_BYTES = 96;

/** Rows as plain messages, which kafkajs groups and encodes itself. */
export class PlainRowBatch implements RowBatch {
  readonly #messages = new Map<RecordTarget, Message[]>();
  byteCount = 0;
  recordCount = 0;

  add({ key, value, headers, target }: RowRecord): void {
    const messages = this.#messages.get(target) ?? [];
    this.#messages.set(target, messages);
    messages.push({
      key,
      // A copy: the bytes are written over by the next row.
      value: Buffer.from(value.bytes.subarray(0, value.length)),
      headers: headers.toHeaders(),
      partition: target.partition,
    });
    this.byteCount += key.length + value.length + OVERHEAD_BYTES;
    this.recordCount += 1;
  }

  reset(): void {
    this.#messages.clear();
    this.byteCount = 0;
    this.recordCount = 0;
  }

  targets(): RecordTarget[] {
    return [...this.#messages.keys()];
  }

  toTopicMessages(): TopicMessages[] {
    return [...Map.groupBy(this.#messages, ([{ topic }]) => topic)].map(([topic, parts]) => ({
      topic,
      messages: parts.flatMap(([, messages]) => messages),
    }));
  }
}
