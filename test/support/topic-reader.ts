import { randomUUID } from 'node:crypto';
import type { Admin, ITopicConfig } from 'kafkajs';
import { rawKafka } from './raw-kafka.ts';
import { waitFor } from './wait-for.ts';

/** @returns its name */
export async function createTopic(
  brokers: string,
  label: string,
  numPartitions: number,
  settings: Readonly<Record<string, string>> = {},
): Promise<string> {
  const topic = `${label}-${randomUUID()}`;
  const admin = rawKafka(brokers).admin();
  await admin.connect();
  try {
    const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }));
    await makeTopics(admin, [{ topic, numPartitions, replicationFactor: 1, configEntries }]);
  } finally {
    await admin.disconnect();
  }
  return topic;
}

/** kafkajs waits for leaders too, but takes it for final that a busy broker does not know the topic yet. */
export async function makeTopics(admin: Admin, wanted: ITopicConfig[]): Promise<void> {
  await admin.createTopics({ waitForLeaders: false, topics: wanted });
  for (const { topic, numPartitions } of wanted) {
    await waitFor(`${topic} to have leaders`, async () => {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] }).catch(() => ({ topics: [] }));
      return topics[0]?.partitions.filter(({ leader }) => leader >= 0).length === numPartitions;
    });
  }
}

/** Everything that is committed in a topic, as any other consumer reads it. */
export interface TopicReader extends AsyncDisposable {
  /** The values of a partition up to the end that it has now. */
  untilEnd(partition: number): Promise<string[]>;
}

export async function openReader(brokers: string, topic: string): Promise<TopicReader> {
  const kafka = rawKafka(brokers);
  const admin = kafka.admin();
  await admin.connect();
  const consumer = kafka.consumer({ groupId: randomUUID(), maxWaitTimeInMs: 100 });
  const values = new Map<number, string[]>();
  const next = new Map<number, bigint>();
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload: { partition, lastOffset } }) => {
    next.set(partition, BigInt(lastOffset) + 1n);
  });
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ partition, message }) => {
      const own = values.get(partition) ?? [];
      values.set(partition, own);
      own.push(String(message.value));
    },
  });
  return {
    async untilEnd(partition) {
      const found = await admin.fetchTopicOffsets(topic);
      const end = BigInt(found.find((each) => each.partition === partition)?.high ?? 0);
      if (end > 0n)
        await waitFor(`partition ${partition} to be read`, () => (next.get(partition) ?? 0n) >= end);
      return values.get(partition) ?? [];
    },
    async [Symbol.asyncDispose]() {
      await consumer.disconnect();
      await admin.disconnect();
    },
  };
}
