import { type Admin, Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createAdmin } from '../../../shared/kafka/internals/admin.ts';
import { createRecordedChanges } from '../../../shared/kafka/recorded-changes.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { testStack, topicPrefix } from '../../support/stack.ts';
import { makeTopics } from '../../support/topic-reader.ts';

const GROUP = `${topicPrefix()}.recorder`;
const TOPIC = `${GROUP}.changes`;

let kafka: Kafka;
let admin: Admin;

beforeAll(async () => {
  kafka = new Kafka({ brokers: testStack().kafkaBrokers.split(','), logLevel: logLevel.NOTHING });
  admin = createAdmin(kafka, { log: silentLog, isUncommitted: true });
  await admin.connect();
  await makeTopics(admin, [{ topic: TOPIC, numPartitions: 2 }]);
});

afterAll(async () => {
  await admin?.deleteTopics({ topics: [TOPIC] });
  await admin?.disconnect();
});

test('the end of the changes is behind records whose transaction is not decided yet', async () => {
  const producer = kafka.producer({ transactionalId: GROUP, maxInFlightRequests: 1 });
  await producer.connect();
  const first = await producer.transaction();
  await first.send({ topic: TOPIC, messages: [{ value: 'a', partition: 0 }] });
  await first.commit();
  const open = await producer.transaction();
  await open.send({
    topic: TOPIC,
    messages: [
      { value: 'b', partition: 0 },
      { value: 'c', partition: 0 },
    ],
  });
  const recorded = createRecordedChanges(admin, TOPIC, GROUP);
  const end = await recorded.end();
  // One record with its marker, and two without.
  expect([...end]).toEqual([[0, 4n]]);
  expect(await recorded.missing(end)).toEqual(['0:-1']);

  const commit = (offset: string) =>
    admin.setOffsets({ groupId: GROUP, topic: TOPIC, partitions: [{ partition: 0, offset }] });
  await commit('2');
  expect(await recorded.missing(end)).toEqual(['0:2']);
  await commit('4');
  expect(await recorded.missing(end)).toEqual([]);
  await open.abort();
  await producer.disconnect();
});
