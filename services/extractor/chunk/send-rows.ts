import { assertWritten } from '../../../shared/kafka/assert-written.ts';
import type { KafkaClientKind } from '../../../shared/kafka/client-config.ts';
import { MultiPartitionBatch } from '../../../shared/kafka/internals/record-batch.ts';
import type {
  KafkaClient,
  KafkaProducer,
  OutgoingMessage,
  TopicMessages,
} from '../../../shared/kafka/kafka-client.ts';
import type { MessageHeaders } from '../../../shared/protocol/headers.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import type { ByteWriter } from '../../../shared/values/byte-writer.ts';

// Sends rows to Kafka: records are collected into batches, and a producer sends one batch after another.

/**
 * The destination of records. Those of one chunk share one object; another chunk may have another for the same
 * partition.
 */
export interface RecordTarget {
  readonly topic: string;
  readonly partition: number;
}

/** A row to send. `add` reads all of it before it returns. */
export interface RowRecord {
  readonly key: string;
  readonly value: Readonly<Pick<ByteWriter, 'bytes' | 'length'>>;
  /** The same headers in two forms: for kafkajs, and as bytes of a record. */
  readonly headers: { toHeaders(): MessageHeaders; write(out: ByteWriter): void };
  readonly target: RecordTarget;
}

/** Records of several partitions and topics, sent in one request. */
export interface RowBatch extends Batch<RowRecord> {
  readonly recordCount: number;
  /** The partitions that have records. */
  targets(): readonly RecordTarget[];
  /** For `producer.sendBatch`. Valid until the next call of `add` or `reset`. */
  toTopicMessages(): TopicMessages[];
}

/** Approximate bytes of a record besides key and value: its headers and all lengths. */
const OVERHEAD_BYTES = 96;

/** Rows as plain messages, which kafkajs groups and encodes itself. */
class PlainRowBatch implements RowBatch {
  readonly #messages = new Map<RecordTarget, OutgoingMessage[]>();
  byteCount = 0;
  recordCount = 0;

  add({ key, value, headers, target }: RowRecord): void {
    const messages = this.#messages.get(target) ?? [];
    this.#messages.set(target, messages);
    messages.push({
      key,
      // A copy, because the next row overwrites the bytes.
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

/** Sends the rows of one batch of chunks, in order. */
export interface RowProducer {
  openBatch(): RowBatch;
  /** Resolves once every in-sync replica has the records. @throws kafkajs's errors after its own retries */
  send(batch: RowBatch): Promise<void>;
}

/**
 * One producer per batch of chunks: kafkajs's idempotent producer has one request per broker under way, so batches that
 * share one would wait for each other.
 */
export interface RowProducers extends AsyncDisposable {
  /** Lends a connected producer. One that failed is not lent again, because its sequence numbers may have a gap. */
  use<T>(work: (producer: RowProducer) => Promise<T>): Promise<T>;
}

/** About ten seconds. After a longer outage the chunks are released and read again from their start. */
const RETRY = { initialRetryTime: 50, maxRetryTime: 2_000, retries: 8 };

export function createRowProducers(kafka: KafkaClient, client: KafkaClientKind, log: Log): RowProducers {
  const idle: KafkaProducer[] = [];
  const disconnect = (producer: KafkaProducer) =>
    producer.disconnect().catch((error: unknown) => log.debug('row_producer.disconnect_failed', { error }));
  return {
    async use(work) {
      const producer = idle.pop() ?? kafka.producer({ idempotent: true, retry: RETRY });
      try {
        await producer.connect();
        const result = await work({
          openBatch: () => (client === 'tuned' ? new MultiPartitionBatch() : new PlainRowBatch()),
          async send(batch) {
            const written = await producer.sendBatch({ topicMessages: batch.toTopicMessages() });
            assertWritten(batch.targets(), written);
          },
        });
        idle.push(producer);
        return result;
      } catch (error) {
        await disconnect(producer);
        throw error;
      }
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(idle.splice(0).map(disconnect));
    },
  };
}

/** Records of one request. Reused once the request was sent. */
export interface Batch<T> {
  readonly byteCount: number;
  add(record: T): void;
  reset(): void;
}

/**
 * Collects records into batches and sends them in order, each once the one before is acknowledged. While one is in
 * flight the next fills up; when that is full too, the source of records pauses. So memory holds two batches.
 */
export interface BatchSender<T> {
  /** @throws the error of an earlier batch */
  add(record: T): void;
  /** Sends the rest and resolves once everything is acknowledged. @throws the error of sending */
  finish(): Promise<void>;
}

export interface BatchSenderOptions<T, B extends Batch<T>> {
  readonly maxBytes: number;
  openBatch(): B;
  /** The batch is not touched until this has settled. */
  send(batch: B): Promise<void>;
  /** Called when the source of records has to pause, and when it may continue. */
  onFull(): void;
  onDrained(): void;
  /** Called once when sending fails, after which nothing is sent. */
  onFailure(error: unknown): void;
}

export function createBatchSender<T, B extends Batch<T>>(options: BatchSenderOptions<T, B>): BatchSender<T> {
  const { maxBytes, openBatch, send, onFull, onDrained, onFailure } = options;
  let batch = openBatch();
  let spare = openBatch();
  let sending: Promise<void> | undefined;
  let isPaused = false;
  let failure: { error: unknown } | undefined;

  function start(): void {
    const full = batch;
    batch = spare;
    spare = full;
    sending = send(full).then(finished, (error: unknown) => {
      failure = { error };
      onFailure(error);
    });
  }

  function finished(): void {
    spare.reset();
    sending = undefined;
    if (batch.byteCount >= maxBytes) start();
    if (!isPaused) return;
    isPaused = false;
    onDrained();
  }

  return {
    add(record) {
      if (failure !== undefined) throw failure.error;
      batch.add(record);
      if (batch.byteCount < maxBytes) return;
      if (sending === undefined) {
        start();
      } else if (!isPaused) {
        isPaused = true;
        onFull();
      }
    },
    async finish() {
      for (;;) {
        if (failure !== undefined) throw failure.error;
        if (sending !== undefined) {
          await sending;
        } else if (batch.byteCount > 0) {
          start();
        } else {
          return;
        }
      }
    },
  };
}
