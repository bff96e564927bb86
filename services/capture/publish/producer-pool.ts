import type { Kafka, RecordMetadata, TopicMessages } from 'kafkajs';
import type { KafkaClientKind } from '../../../shared/kafka/client.ts';
import { openTunedProducers } from '../../../shared/kafka/internals/transactional-producer.ts';
import { openPlainProducers } from './plain-producers.ts';
import type { TransactionalProducer, TransactionalProducers } from './transactional-producer.ts';

/**
 * Kafka transactions, one after the other. A broker refuses a producer's next transaction until it has written the
 * markers of the one before, some milliseconds after the commit was answered. So the transactions take turns on
 * several producers: each begins only after the commit before was answered, and so the order stays in every partition,
 * where a reader is held at the first transaction that has no marker yet.
 */
export interface ProducerPool {
  readonly count: number;
  /**
   * Sends the requests one after the other in one transaction, and resolves once it is committed. After an error it
   * is not known whether it was; only opening the lanes anew makes it known.
   *
   * @returns where the last request's records are
   */
  publish(requests: readonly TopicMessages[][]): Promise<RecordMetadata[]>;
  close(): Promise<void>;
}

/** A transaction takes three round trips; with three lanes a lane's markers are written before it is used again. */
const PRODUCER_COUNT = 3;

/** Connects the producers, which fences every earlier producer of the same IDs, and ends what those had open. */
export async function openProducerPool(
  kafka: Kafka,
  transactionalId: string,
  client: KafkaClientKind,
): Promise<ProducerPool> {
  const open = client === 'tuned' ? openTunedProducers : openPlainProducers;
  const ids = Array.from({ length: PRODUCER_COUNT }, (_, index) => `${transactionalId}.${index}`);
  const { producers, close }: TransactionalProducers = await open(kafka, ids);
  let turn = 0;
  return {
    count: PRODUCER_COUNT,
    async publish(requests) {
      const producer = producers[turn % PRODUCER_COUNT] as TransactionalProducer;
      turn += 1;
      return producer.publish(requests);
    },
    close,
  };
}
