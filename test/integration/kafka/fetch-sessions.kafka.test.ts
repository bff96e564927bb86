import type { Admin, Kafka, RequestEvent } from 'kafkajs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fetchInSessions } from '../../../shared/kafka/internals/fetch-sessions.ts';
import { GROUP_SETTINGS } from '../../../shared/kafka/run-consumer.ts';
import { rawKafka } from '../../support/raw-kafka.ts';
import { testStack, topicPrefix } from '../../support/stack.ts';
import { makeTopics } from '../../support/topic-reader.ts';
import { waitFor } from '../../support/wait-for.ts';

const prefix = topicPrefix();
const TOPICS = Array.from({ length: 4 }, (_, index) => `${prefix}.sessions.${index}`);
const PARTITIONS = 3;
/** Without sessions, each partition takes some 50 bytes of each response. */
const IDLE_RESPONSE_BYTES = 40;

let kafka: Kafka;
let admin: Admin;

beforeAll(async () => {
  fetchInSessions();
  kafka = rawKafka(testStack().kafkaBrokers);
  admin = kafka.admin();
  await admin.connect();
  await makeTopics(
    admin,
    TOPICS.map((topic) => ({ topic, numPartitions: PARTITIONS, replicationFactor: 1 })),
  );
});
afterAll(async () => {
  await admin.deleteTopics({ topics: TOPICS });
  await admin.disconnect();
});

test('a consumer of many partitions says nothing while nothing comes, and gets each record once and in order, also after a pause and a seek', async () => {
  // What is sent again after an error must not come twice.
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  const consumer = kafka.consumer({ groupId: `${prefix}.sessions`, ...GROUP_SETTINGS });
  const read = new Map<string, string[]>();
  const at = (topic: string, partition: number) => `${topic}/${partition}`;
  const responseBytes: number[] = [];
  consumer.on(consumer.events.REQUEST, ({ payload }: RequestEvent) => {
    if (payload.apiName === 'Fetch') responseBytes.push(payload.size);
  });
  const send = async (value: string) => {
    await producer.sendBatch({
      topicMessages: TOPICS.map((topic) => ({
        topic,
        messages: Array.from({ length: PARTITIONS }, (_, partition) => ({ partition, value })),
      })),
    });
  };
  const untilEverywhere = (values: readonly string[]) => {
    const places = TOPICS.flatMap((topic) =>
      Array.from({ length: PARTITIONS }, (_, partition) => at(topic, partition)),
    );
    return expect
      .poll(() => Object.fromEntries(read), { timeout: 200_000 })
      .toEqual(Object.fromEntries(places.map((place) => [place, values])));
  };
  try {
    await consumer.connect();
    await consumer.subscribe({ topics: TOPICS, fromBeginning: true });
    await consumer.run({
      eachMessage: async ({ topic, partition, message }) => {
        const values = read.get(at(topic, partition)) ?? [];
        read.set(at(topic, partition), [...values, String(message.value)]);
      },
    });
    await send('1');
    await send('2');
    await untilEverywhere(['1', '2']);
    await waitFor('idle fetches', () =>
      responseBytes.slice(-3).every((bytes) => bytes <= IDLE_RESPONSE_BYTES),
    );

    const [paused = '', sought = ''] = TOPICS;
    consumer.pause([{ topic: paused }]);
    await send('3');
    const others = TOPICS.slice(1);
    await waitFor('the third record of the others', () =>
      others.every((topic) => read.get(at(topic, 0))?.at(-1) === '3'),
    );
    expect(read.get(at(paused, 0))).toEqual(['1', '2']);
    consumer.resume([{ topic: paused }]);
    await untilEverywhere(['1', '2', '3']);

    consumer.seek({ topic: sought, partition: 0, offset: '1' });
    await waitFor('the records from there on', () => read.get(at(sought, 0))?.join() === '1,2,3,2,3');
    await send('4');
    await waitFor('the fourth record', () => read.get(at(sought, 0))?.join() === '1,2,3,2,3,4');
    await waitFor('the fourth record of the others', () =>
      TOPICS.every((topic) => read.get(at(topic, 1))?.join() === '1,2,3,4'),
    );
  } finally {
    await consumer.disconnect();
    await producer.disconnect();
  }
});
