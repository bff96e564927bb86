import type { Kafka, RecordMetadata, TopicMessages } from 'kafkajs';
import type { KafkaClientKind } from '../../../shared/kafka/client.ts';
import { openTunedProducers } from '../../../shared/kafka/internals/transactional-producer.ts';
import {
  openPlainProducers,
  type TransactionalProducer,
  type TransactionalProducers,
} from './plain-producers.ts';

/**
 * A pool of transactional producers that commits Kafka transactions one after the other. A broker refuses a producer's
 * next transaction until it has written the markers of the last one, some milliseconds after the commit's response. So
 * transactions rotate over several producers. Each begins only after the last commit's response, which keeps the order
 * in every partition: a reader waits at the first transaction without a marker.
 */
export interface ProducerPool {
  readonly count: number;
  /**
   * Sends the requests one after the other in one transaction, and resolves once it is committed. After an error the
   * outcome is unknown until the pool is opened again.
   *
   * @returns the offsets of the last request's records
   */
  publish(requests: readonly TopicMessages[][]): Promise<RecordMetadata[]>;
  close(): Promise<void>;
}

/** A transaction takes three round trips, so with three producers each one's markers are written before its next turn. */
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
