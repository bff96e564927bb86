import type { Kafka, Producer } from 'kafkajs';
import { assertWritten } from '../../../shared/kafka/assert-written.ts';
import type { KafkaClientKind } from '../../../shared/kafka/client.ts';
import { MultiPartitionBatch } from '../../../shared/kafka/internals/multi-partition-batch.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { PlainRowBatch } from './plain-row-batch.ts';
import type { RowBatch } from './row-record.ts';

/** Sends the rows of one batch of chunks, in order. */
export interface RowProducer {
  openBatch(): RowBatch;
  /** Resolves once every in-sync replica has the records. @throws kafkajs's errors after its own retries */
  send(batch: RowBatch): Promise<void>;
}

/**
 * One producer for each batch of chunks that is being read: kafkajs's idempotent producer has one request a broker under way,
 * so a shared one would make batches wait for each other.
 */
export interface RowProducers extends AsyncDisposable {
  /** Lends a connected producer. One that failed is not lent again, since its sequence numbers may have a gap. */
  use<T>(work: (producer: RowProducer) => Promise<T>): Promise<T>;
}

/** About ten seconds; a longer outage gives the chunks back, and they are read again from their start. */
const RETRY = { initialRetryTime: 50, maxRetryTime: 2_000, retries: 8 };

export function createRowProducers(kafka: Kafka, client: KafkaClientKind, log: Log): RowProducers {
  const idle: Producer[] = [];
  const disconnect = (producer: Producer) =>
    producer.disconnect().catch((error: unknown) => log.debug('row_producer.disconnect_failed', { error }));
  return {
    async use(work) {
      const producer =
        idle.pop() ?? kafka.producer({ idempotent: true, allowAutoTopicCreation: false, retry: RETRY });
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
