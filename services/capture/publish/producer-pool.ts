import type { Kafka, RecordMetadata, TopicMessages } from 'kafkajs';
import { type Cluster, createCluster } from './cluster.ts';
import { openTransactionalProducer, type TransactionalProducer } from './transactional-producer.ts';

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

/**
 * Connects the lanes, which fences every earlier producer of the same IDs, and ends what those had open. They share one
 * connection a broker: only one of them speaks at a time.
 */
export async function openProducerPool(kafka: Kafka, transactionalId: string): Promise<ProducerPool> {
  const cluster: Cluster = createCluster(kafka);
  const producers: TransactionalProducer[] = [];
  try {
    await cluster.connect();
    for (let index = 0; index < PRODUCER_COUNT; index += 1) {
      producers.push(await openTransactionalProducer(cluster, `${transactionalId}.${index}`));
    }
  } catch (error) {
    await cluster.disconnect().catch(() => undefined);
    throw error;
  }
  let turn = 0;
  return {
    count: PRODUCER_COUNT,
    async publish(requests) {
      const producer = producers[turn % PRODUCER_COUNT] as TransactionalProducer;
      turn += 1;
      return producer.publish(requests);
    },
    // What is broken already need not be closed.
    close: () => cluster.disconnect().catch(() => undefined),
  };
}
