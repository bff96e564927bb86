import type { Kafka, Producer, RecordMetadata, TopicMessages } from 'kafkajs';

/**
 * Kafka transactions, one after the other. A broker refuses a producer's next transaction until it has written the
 * markers of the one before, some milliseconds after the commit was answered. So the transactions take turns on
 * several producers: each begins only after the commit before was answered, and so the order stays in every partition,
 * where a reader is held at the first transaction that has no marker yet.
 */
export interface Lanes {
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
const LANE_COUNT = 3;

/** After this the broker aborts the transaction of a dead instance by itself; the next instance does so at once. */
const TRANSACTION_TIMEOUT_MS = 30_000;

/** Short at first, since most are over within milliseconds; in all some 10 s, and then the session starts anew. */
const RETRY = { initialRetryTime: 4, factor: 0.2, multiplier: 1.7, maxRetryTime: 1_000, retries: 18 };

/**
 * Connects the lanes. The first transaction of each fences every earlier producer of the same ID, and ends what it
 * had open.
 */
export async function openLanes(kafka: Kafka, transactionalId: string): Promise<Lanes> {
  const producers: Producer[] = [];
  const close = async () => {
    await Promise.allSettled(producers.map((producer) => producer.disconnect()));
  };
  try {
    for (let lane = 0; lane < LANE_COUNT; lane += 1) {
      const producer = kafka.producer({
        transactionalId: `${transactionalId}.${lane}`,
        transactionTimeout: TRANSACTION_TIMEOUT_MS,
        maxInFlightRequests: 1,
        allowAutoTopicCreation: false,
        retry: RETRY,
      });
      producers.push(producer);
      await producer.connect();
    }
  } catch (error) {
    await close();
    throw error;
  }
  let turn = 0;
  return {
    count: LANE_COUNT,
    async publish(requests) {
      const producer = producers[turn % LANE_COUNT] as Producer;
      turn += 1;
      const transaction = await producer.transaction();
      let written: RecordMetadata[] = [];
      for (const topicMessages of requests) written = await transaction.sendBatch({ topicMessages });
      await transaction.commit();
      return written;
    },
    close,
  };
}
