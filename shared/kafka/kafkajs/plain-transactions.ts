import type { Kafka, Producer } from 'kafkajs';
import { backoffMs } from '../../runtime/retry.ts';
import { sleep } from '../../runtime/sleep.ts';
import { assertWritten } from '../assert-written.ts';
import {
  type TopicMessages,
  TRANSACTION_TIMEOUT_MS,
  type TransactionalProducer,
  type TransactionalProducers,
  type WrittenRecords,
} from '../kafka-client.ts';

/** The markers of the transaction before are still being written: nothing was sent. In all some 10 s. */
const MARKERS_RETRY = { initialMs: 2, maxMs: 1_000 };
const MAX_ATTEMPTS = 18;

/** Transactional producers of kafkajs's public interface alone. */
export async function openPlainProducers(
  kafka: Kafka,
  transactionalIds: readonly string[],
): Promise<TransactionalProducers> {
  const producers = transactionalIds.map((transactionalId) =>
    kafka.producer({
      transactionalId,
      transactionTimeout: TRANSACTION_TIMEOUT_MS,
      idempotent: true,
      maxInFlightRequests: 1,
      allowAutoTopicCreation: false,
    }),
  );
  // What is broken already need not be closed.
  const close = async () => {
    await Promise.allSettled(producers.map((producer) => producer.disconnect()));
  };
  try {
    for (const producer of producers) {
      await producer.connect();
      // kafkajs takes hold of the transactional ID with the first transaction. Of an empty one the broker is told nothing else.
      const transaction = await producer.transaction();
      await transaction.abort();
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { producers: producers.map(toTransactional), close };
}

function toTransactional(producer: Producer): TransactionalProducer {
  return {
    async publish(requests) {
      const transaction = await producer.transaction();
      const written: WrittenRecords[] = [];
      let last: WrittenRecords[] = [];
      try {
        for (const request of requests) {
          const topicMessages = typeof request === 'function' ? await request(written) : request;
          last = await onceMarkersAreWritten(() =>
            transaction.sendBatch({ topicMessages: inOrder(topicMessages) }),
          );
          assertWritten(partitionsOf(topicMessages), last);
          written.push(...last);
        }
      } catch (error) {
        await transaction.abort().catch(() => undefined);
        throw error;
      }
      await transaction.commit();
      return last;
    },
  };
}

/** Those that messages name; a message without one stands alone in its request, which kafkajs sends again whole. */
function partitionsOf(request: readonly TopicMessages[]): { topic: string; partition: number }[] {
  return request.flatMap(({ topic, messages }) =>
    messages.flatMap(({ partition }) => (partition === undefined ? [] : [{ topic, partition }])),
  );
}

/** kafkajs takes a topic's messages once. */
function inOrder(request: readonly TopicMessages[]): TopicMessages[] {
  return [...Map.groupBy(request, ({ topic }) => topic)].map(([topic, parts]) => ({
    topic,
    messages: parts.flatMap(({ messages }) => messages),
  }));
}

async function onceMarkersAreWritten<T>(send: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await send();
    } catch (error) {
      const { type } = error as { type?: unknown };
      if (type !== 'CONCURRENT_TRANSACTIONS' || attempt >= MAX_ATTEMPTS) throw error;
      await sleep(backoffMs(attempt - 1, MARKERS_RETRY));
    }
  }
}
