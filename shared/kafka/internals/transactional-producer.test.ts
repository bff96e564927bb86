import type { TopicMessages } from 'kafkajs';
import { expect, test } from 'vitest';
import type { Broker, Cluster } from './cluster.ts';
import { openTransactionalProducer, ProduceQuota } from './transactional-producer.ts';

class KafkaError extends Error {
  readonly type: string;
  constructor(type: string) {
    super(type);
    this.type = type;
  }
}

/** Two brokers: partitions of even number are led by 1, the others by 2. `failures` are the errors of coming requests. */
function setUp() {
  const asked: string[] = [];
  const failures = new Map<string, string[]>();
  let lookUps = 0;
  const record = (name: string, detail: unknown = '') => {
    asked.push(`${name} ${typeof detail === 'string' ? detail : JSON.stringify(detail)}`.trim());
    const type = failures.get(name)?.shift();
    if (type !== undefined) throw new KafkaError(type);
  };
  const broker = (nodeId: number): Broker => ({
    async initProducerId() {
      record('init');
      return { producerId: { toString: () => '5' }, producerEpoch: 1 };
    },
    async addPartitionsToTxn({ topics }) {
      record(
        'add',
        topics.map(({ topic, partitions }) => `${topic}:${partitions.join('+')}`),
      );
    },
    async endTxn({ transactionResult }) {
      record(transactionResult ? 'commit' : 'abort');
    },
    connectionPool: {
      getConnection: async () => ({
        async send<T>({ request }: { request: { encode(): Promise<{ buffer: Buffer }> } }) {
          const { buffer } = await request.encode();
          record('produce', String(nodeId));
          sequences.push(firstSequenceOf(buffer));
          const clientSideThrottleTime = throttles.shift() ?? 0;
          const topics = [{ topicName: 't', partitions: [{ partition: 0, baseOffset: '40' }] }];
          return { topics, clientSideThrottleTime } as T;
        },
      }),
    },
  });
  const sequences: number[] = [];
  const throttles: number[] = [];
  const brokers = [broker(1), broker(2)];
  const cluster: Cluster = {
    connect: async () => undefined,
    disconnect: async () => undefined,
    addMultipleTargetTopics: async (topics) => record('learn', topics.join('+')),
    refreshMetadata: async () => undefined,
    findTopicPartitionMetadata: () =>
      Array.from({ length: 4 }, (_, partitionId) => ({ partitionId, leader: 1 + (partitionId % 2) })),
    findBroker: async ({ nodeId }) => brokers[nodeId - 1] as Broker,
    async findGroupCoordinator() {
      lookUps += 1;
      return brokers[0] as Broker;
    },
  };
  return { cluster, asked, failures, sequences, throttles, lookUpCount: () => lookUps };
}

/** Of the only batch of a request for topic `t`: transactional ID, acks, timeout, topics, then the batch's header. */
function firstSequenceOf(buffer: Buffer): number {
  const topicsAt = 2 + buffer.readInt16BE(0) + 2 + 4;
  const batchAt = topicsAt + 4 + 2 + 't'.length + 4 + 4 + 4;
  return buffer.readInt32BE(batchAt + 53);
}

const request = (...partitions: number[]): TopicMessages[] => [
  { topic: 't', messages: partitions.map((partition) => ({ value: 'v', partition })) },
];

test('a transaction is three requests, and the coordinator is looked up once', async () => {
  const { cluster, asked, lookUpCount } = setUp();
  const producer = await openTransactionalProducer(cluster, 'x', new ProduceQuota());
  await producer.publish([request(0, 2)]);
  expect(await producer.publish([request(0)])).toMatchObject([{ topicName: 't', baseOffset: '40' }]);
  expect(asked).toEqual([
    'init',
    'learn t',
    'add ["t:0+2"]',
    'produce 1',
    'commit',
    'add ["t:0"]',
    'produce 1',
    'commit',
  ]);
  expect(lookUpCount()).toBe(1);
});

test('each leader gets its own partitions, and the commit waits for all requests', async () => {
  const { cluster, asked } = setUp();
  const producer = await openTransactionalProducer(cluster, 'x', new ProduceQuota());
  await producer.publish([request(0, 1), request(3)]);
  expect(asked.slice(2)).toEqual(['add ["t:0+1+3"]', 'produce 1', 'produce 2', 'produce 2', 'commit']);
});

test('sequence numbers go on where the transaction before ended', async () => {
  const { cluster, sequences } = setUp();
  const producer = await openTransactionalProducer(cluster, 'x', new ProduceQuota());
  await producer.publish([request(0, 0, 0), request(0)]);
  await producer.publish([request(0)]);
  await producer.publish([request(1)]);
  expect(sequences).toEqual([0, 3, 4, 0]);
});

test('while the markers of the last transaction are being written it is asked again', async () => {
  const { cluster, asked, failures } = setUp();
  const producer = await openTransactionalProducer(cluster, 'x', new ProduceQuota());
  failures.set('add', ['CONCURRENT_TRANSACTIONS', 'CONCURRENT_TRANSACTIONS']);
  await producer.publish([request(0)]);
  expect(asked.filter((each) => each.startsWith('add')).length).toBe(3);
  expect(asked.at(-1)).toBe('commit');
});

test('a coordinator that has moved is looked up again', async () => {
  const { cluster, failures, asked, lookUpCount } = setUp();
  const producer = await openTransactionalProducer(cluster, 'x', new ProduceQuota());
  failures.set('commit', ['NOT_COORDINATOR_FOR_GROUP']);
  await producer.publish([request(0)]);
  expect(asked.filter((each) => each === 'commit').length).toBe(2);
  expect(lookUpCount()).toBe(2);
});

test('nothing is committed when records were not written', async () => {
  const { cluster, failures, asked } = setUp();
  const producer = await openTransactionalProducer(cluster, 'x', new ProduceQuota());
  failures.set('produce', ['NOT_LEADER_FOR_PARTITION']);
  await expect(producer.publish([request(0, 1)])).rejects.toThrow('NOT_LEADER_FOR_PARTITION');
  expect(asked).not.toContain('commit');
});

test('a producer that was fenced is not asked again', async () => {
  const { cluster, failures, asked } = setUp();
  const producer = await openTransactionalProducer(cluster, 'x', new ProduceQuota());
  failures.set('commit', ['INVALID_PRODUCER_EPOCH']);
  await expect(producer.publish([request(0)])).rejects.toThrow('INVALID_PRODUCER_EPOCH');
  expect(asked.filter((each) => each === 'commit').length).toBe(1);
});

test('a transaction begins once the quota allows records again, and never waits for it while it is open', async () => {
  const { cluster, asked, throttles } = setUp();
  let nowMs = 0;
  const quota = new ProduceQuota(() => nowMs);
  const producer = await openTransactionalProducer(cluster, 'x', quota);
  throttles.push(3_600_000);
  await producer.publish([request(0)]);
  expect(asked.at(-1)).toBe('commit');
  const second = producer.publish([request(0)]);
  nowMs += 1_000;
  expect(asked.at(-1)).toBe('commit');
  quota.stop();
  await second;
  expect(asked.slice(-3)).toEqual(['add ["t:0"]', 'produce 1', 'commit']);
});
