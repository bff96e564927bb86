import type { Kafka, RecordMetadata, TopicMessages } from 'kafkajs';
import { type Cluster, createCluster } from './cluster.ts';
import { openTransactionalLane, type TransactionalLane } from './transactional-lane.ts';

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

/**
 * Connects the lanes, which fences every earlier producer of the same IDs, and ends what those had open. They share one
 * connection a broker: only one of them speaks at a time.
 */
export async function openLanes(kafka: Kafka, transactionalId: string): Promise<Lanes> {
  const cluster: Cluster = createCluster(kafka);
  const lanes: TransactionalLane[] = [];
  try {
    await cluster.connect();
    for (let lane = 0; lane < LANE_COUNT; lane += 1) {
      lanes.push(await openTransactionalLane(cluster, `${transactionalId}.${lane}`));
    }
  } catch (error) {
    await cluster.disconnect().catch(() => undefined);
    throw error;
  }
  let turn = 0;
  return {
    count: LANE_COUNT,
    async publish(requests) {
      const lane = lanes[turn % LANE_COUNT] as TransactionalLane;
      turn += 1;
      return lane.publish(requests);
    },
    // What is broken already need not be closed.
    close: () => cluster.disconnect().catch(() => undefined),
  };
}
