import { randomUUID } from 'node:crypto';
import type { Consumer } from 'kafkajs';
import { expect, test } from 'vitest';
import { RECORDER_GROUP_SETTINGS } from '../../../services/dispatcher/record/recorder.ts';
import { createKafka } from '../../../shared/kafka/client.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { testStack } from '../../support/stack.ts';
import { createTopic } from '../../support/topic-reader.ts';
import { waitFor } from '../../support/wait-for.ts';

/** A slower interval of heartbeats would pass once by chance. */
const ROUNDS = 4;

test('partitions of a recorder that stops are given to the others by their next fetch', async () => {
  const brokers = testStack().kafkaBrokers;
  const topic = await createTopic(brokers, 'recorder-group', 4);
  const kafka = createKafka(
    { client: 'tuned', brokers: brokers.split(','), ssl: false, sasl: undefined },
    'test-recorder-group',
    silentLog,
  );
  const groupId = randomUUID();
  const join = async () => {
    // kafkajs counts its fetches where services do not look.
    const consumer = kafka.consumer({ groupId, ...RECORDER_GROUP_SETTINGS }) as Consumer;
    const member = { consumer, partitionCount: 0, fetchCount: 0 };
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      member.partitionCount = payload.memberAssignment[topic]?.length ?? 0;
    });
    consumer.on(consumer.events.FETCH, () => {
      member.fetchCount += member.partitionCount < 4 ? 1 : 0;
    });
    await consumer.connect();
    await consumer.subscribe({ topic });
    await consumer.run({ autoCommit: false, eachBatch: async () => undefined });
    return member;
  };
  const stays = await join();
  try {
    for (let round = 0; round < ROUNDS; round += 1) {
      const leaves = await join();
      await waitFor('both to have a half', () => stays.partitionCount === 2 && leaves.partitionCount === 2);
      await leaves.consumer.disconnect();
      stays.fetchCount = 0;
      await waitFor('one to have all', () => stays.partitionCount === 4);
      expect(stays.fetchCount).toBeLessThanOrEqual(1);
    }
  } finally {
    await stays.consumer.disconnect();
  }
});
