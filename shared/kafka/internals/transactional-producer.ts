import kafkajs, { type Kafka, type Message, type RecordMetadata } from 'kafkajs';
import { backoffMs } from '../../runtime/retry.ts';
import { sleep } from '../../runtime/sleep.ts';
import {
  type TopicMessages,
  TRANSACTION_TIMEOUT_MS,
  type TransactionalProducer,
  type TransactionalProducers,
} from '../kafka-client.ts';
import { type Broker, type Cluster, createCluster, type Producer, type TopicPartitions } from './cluster.ts';
import { encodeProduce, type PartitionRecords, PRODUCE_RESPONSE } from './produce-request.ts';

// Node can't see this name among the package's exports, which are CommonJS; only the whole of them.
const { KafkaJSNonRetriableError, Partitioners } = kafkajs;

const PRODUCE_TIMEOUT_MS = 30_000;
/**
 * A broker whose quota is used up reads nothing from the connection that the records came on, for as long as the quota
 * says. Commits must not wait for that, so records have the connection that kafkajs keeps for fetches, which a producer
 * does not make.
 */
const RECORDS_CONNECTION = 1;
/** Kafka's number of coordinators for transactions, beside those of groups. */
const TRANSACTION_COORDINATOR = 1;

/** The broker could not do it now, and nothing was done: asking the same again is safe. */
const ASK_AGAIN: ReadonlySet<unknown> = new Set([
  'CONCURRENT_TRANSACTIONS',
  'GROUP_LOAD_IN_PROGRESS',
  'UNKNOWN_TOPIC_OR_PARTITION',
]);
/** Another broker is the coordinator by now. */
const ASK_ANOTHER: ReadonlySet<unknown> = new Set([
  'NOT_COORDINATOR_FOR_GROUP',
  'GROUP_COORDINATOR_NOT_AVAILABLE',
]);
/** Short at first, since most are over within milliseconds; in all some 10 s, and then the session starts again. */
const RETRY = { initialMs: 2, maxMs: 1_000 };
const MAX_ATTEMPTS = 18;

/** The sequence numbers of a producer in a partition begin again after this. */
const MAX_SEQUENCE = 2 ** 31 - 1;

/** Lanes of these IDs. They share one connection a broker: only one of them speaks at a time. */
export async function openTunedProducers(
  kafka: Kafka,
  transactionalIds: readonly string[],
): Promise<TransactionalProducers> {
  const cluster = createCluster(kafka);
  const quota = new ProduceQuota();
  // What is broken already need not be closed.
  const close = async () => {
    quota.stop();
    await cluster.disconnect().catch(() => undefined);
  };
  const producers: TransactionalProducer[] = [];
  try {
    await cluster.connect();
    for (const transactionalId of transactionalIds) {
      producers.push(await openTransactionalProducer(cluster, transactionalId, quota));
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { producers, close };
}

/** Until when brokers take no more records of this process, as their responses say. */
export class ProduceQuota {
  readonly #stopped = new AbortController();
  readonly #now: () => number;
  #usedUntilMs = 0;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  throttled(throttleMs = 0): void {
    if (throttleMs > 0) this.#usedUntilMs = Math.max(this.#usedUntilMs, this.#now() + throttleMs);
  }

  async wait(): Promise<void> {
    const leftMs = this.#usedUntilMs - this.#now();
    if (leftMs > 0) await sleep(leftMs, this.#stopped.signal);
  }

  /** Nobody waits any longer. */
  stop(): void {
    this.#stopped.abort();
  }
}

/**
 * Makes `transactionalId` ours: fences every earlier producer of the same ID, and ends what it had open.
 *
 * kafkajs's own producer asks twice in each transaction which broker is the coordinator. Here it is asked once and again
 * when it has changed, so that a transaction takes three round trips in place of five: partitions, records, commit.
 */
export async function openTransactionalProducer(
  cluster: Cluster,
  transactionalId: string,
  quota: ProduceQuota,
): Promise<TransactionalProducer> {
  let coordinator: Broker | undefined;
  const sequences = new Map<string, number>();
  const knownTopics = new Set<string>();
  const defaultPartition = Partitioners.DefaultPartitioner();

  /** Asks the coordinator, again and again while it only is not ready. */
  const ask = async <T>(request: (broker: Broker) => Promise<T>): Promise<T> => {
    for (let attempt = 1; ; attempt += 1) {
      try {
        coordinator ??= await cluster.findGroupCoordinator({
          groupId: transactionalId,
          coordinatorType: TRANSACTION_COORDINATOR,
        });
        return await request(coordinator);
      } catch (error) {
        const { type } = error as { type?: unknown };
        const hasMoved = ASK_ANOTHER.has(type);
        if (attempt >= MAX_ATTEMPTS || !(hasMoved || ASK_AGAIN.has(type))) throw error;
        if (hasMoved) coordinator = undefined;
        await sleep(backoffMs(attempt - 1, RETRY));
      }
    }
  };

  const transactionTimeout = TRANSACTION_TIMEOUT_MS;
  const producer: Producer = await ask((broker) =>
    broker.initProducerId({ transactionalId, transactionTimeout }),
  );
  const identity = {
    transactionalId,
    producerId: producer.producerId,
    producerEpoch: producer.producerEpoch,
  };

  const learnTopics = async (topics: readonly string[]): Promise<void> => {
    if (topics.every((topic) => knownTopics.has(topic))) return;
    await cluster.addMultipleTargetTopics(topics);
    for (const topic of topics) knownTopics.add(topic);
  };

  const nextSequence = (topic: string, partition: number, count: number): number => {
    const key = `${topic}/${partition}`;
    const first = sequences.get(key) ?? 0;
    const next = first + count;
    sequences.set(key, next > MAX_SEQUENCE ? next - MAX_SEQUENCE - 1 : next);
    return first;
  };

  const partitionOf = (topic: string, message: Message): number =>
    message.partition ??
    defaultPartition({
      topic,
      partitionMetadata: [...cluster.findTopicPartitionMetadata(topic)] as never,
      message,
    });

  /** @returns the messages by topic and partition, in their order */
  const group = (request: readonly TopicMessages[]): Omit<PartitionRecords, 'firstSequence'>[] =>
    request.flatMap(({ topic, messages }) =>
      [...Map.groupBy(messages, (message) => partitionOf(topic, message))].map(([partition, own]) => ({
        topic,
        partition,
        messages: own,
      })),
    );

  const leaderOf = (topic: string, partition: number): number => {
    const found = cluster
      .findTopicPartitionMetadata(topic)
      .find(({ partitionId }) => partitionId === partition);
    if (found === undefined)
      throw new KafkaJSNonRetriableError(`topic ${topic} has no partition ${partition}`);
    return found.leader;
  };

  const produce = async (
    nodeId: number,
    records: readonly Omit<PartitionRecords, 'firstSequence'>[],
  ): Promise<RecordMetadata[]> => {
    const broker = await cluster.findBroker({ nodeId });
    const partitions = records.map((each) => ({
      ...each,
      firstSequence: nextSequence(each.topic, each.partition, each.messages.length),
    }));
    const connection = await broker.connectionPool.getConnection(RECORDS_CONNECTION);
    const { topics, clientSideThrottleTime } = await connection.send({
      request: encodeProduce({
        transactionalId,
        producer,
        timeoutMs: PRODUCE_TIMEOUT_MS,
        atMs: Date.now(),
        partitions,
      }),
      response: PRODUCE_RESPONSE,
    });
    quota.throttled(clientSideThrottleTime);
    return topics.flatMap(({ topicName, partitions: written }) =>
      written.map(({ partition, baseOffset }) => ({ topicName, partition, errorCode: 0, baseOffset })),
    );
  };

  /** Adds the requests' partitions to the transaction. @returns the records of each request */
  const enlist = async (requests: readonly TopicMessages[][]) => {
    await learnTopics(requests.flatMap((request) => request.map(({ topic }) => topic)));
    const groups = requests.map(group);
    const topics = partitionsOf(groups.flat());
    await ask((broker) => broker.addPartitionsToTxn({ ...identity, topics }));
    return groups;
  };

  return {
    async publish(requests) {
      // Before the transaction begins: while it is open, no reader passes it.
      await quota.wait();
      const known = await enlist(requests.filter((request) => typeof request !== 'function'));
      const written: RecordMetadata[] = [];
      let last: RecordMetadata[] = [];
      for (const request of requests) {
        const [records = []] =
          typeof request === 'function' ? await enlist([await request(written)]) : known.splice(0, 1);
        const leaders = Map.groupBy(records, ({ topic, partition }) => leaderOf(topic, partition));
        const answers = await Promise.all([...leaders].map(([nodeId, own]) => produce(nodeId, own)));
        last = answers.flat();
        written.push(...last);
      }
      await ask((broker) => broker.endTxn({ ...identity, transactionResult: true }));
      return last;
    },
  };
}

function partitionsOf(groups: readonly { topic: string; partition: number }[]): TopicPartitions[] {
  return [...Map.groupBy(groups, ({ topic }) => topic)].map(([topic, own]) => ({
    topic,
    partitions: [...new Set(own.map(({ partition }) => partition))],
  }));
}
