import { randomUUID } from 'node:crypto';
import type { Admin, Kafka } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createKafka } from '../../shared/kafka/client.ts';
import type { KafkaClientKind } from '../../shared/kafka/client-config.ts';
import type { KafkaClient, KafkaConsumer, ReceivedMessage } from '../../shared/kafka/kafka-client.ts';
import { GROUP_SETTINGS } from '../../shared/kafka/run-consumer.ts';
import { silentLog } from '../../shared/runtime/log.ts';
import { rawKafka } from '../support/raw-kafka.ts';
import { testStack } from '../support/stack.ts';
import { createTopic, openReader } from '../support/topic-reader.ts';
import { waitFor } from '../support/wait-for.ts';

/** The codecs that a topic may ask its broker for. */
const CODECS = ['gzip', 'snappy', 'lz4', 'zstd'];

const numbers = (count: number, from = 0) =>
  Array.from({ length: count }, (_, index) => String(from + index));

/** What every client must do, beside what it does under failure. */
export function describeKafkaClient(client: KafkaClientKind): void {
  /** With which it has to agree. */
  const other = client === 'tuned' ? 'plain' : 'tuned';
  describe(client, () => {
    const cleanup = new AsyncDisposableStack();
    let brokers: string;
    let kafka: KafkaClient;
    let raw: Kafka;
    let admin: Admin;

    const open = (kind: KafkaClientKind) =>
      createKafka(
        { client: kind, brokers: brokers.split(','), ssl: false, sasl: undefined },
        'test-contract',
        silentLog,
      );

    beforeAll(async () => {
      brokers = testStack().kafkaBrokers;
      kafka = open(client);
      raw = rawKafka(brokers);
      admin = cleanup.adopt(raw.admin(), (connected) => connected.disconnect());
      await admin.connect();
    });
    afterAll(() => cleanup.disposeAsync());

    const sendAll = async (topic: string, values: readonly string[], partition = 0) => {
      const producer = kafka.producer({ idempotent: true });
      await producer.connect();
      await producer.send({ topic, messages: values.map((value) => ({ partition, value })) });
      await producer.disconnect();
    };

    interface Member extends AsyncDisposable {
      readonly consumer: KafkaConsumer;
      readonly messages: (ReceivedMessage & { readonly partition: number })[];
      readonly values: () => string[];
      assignment: readonly number[];
    }

    /** Reads from the start, and commits what it has handled. */
    const openMember = async (
      topic: string,
      {
        groupId = randomUUID() as string,
        kind = client,
        ...settings
      }: {
        groupId?: string;
        kind?: KafkaClientKind;
        maxBytesPerPartition?: number;
      } = {},
    ): Promise<Member> => {
      const consumer = open(kind).consumer({ groupId, ...GROUP_SETTINGS, ...settings });
      const messages: Member['messages'] = [];
      const member: Member = {
        consumer,
        messages,
        values: () => messages.map(({ value }) => String(value)),
        assignment: [],
        [Symbol.asyncDispose]: () => consumer.disconnect(),
      };
      consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
        member.assignment = payload.memberAssignment[topic] ?? [];
      });
      await consumer.connect();
      await consumer.subscribe({ topic, fromBeginning: true });
      await consumer.run({
        autoCommit: false,
        eachBatch: async ({ batch, commitOffsetsIfNecessary }) => {
          const { partition } = batch;
          // A message may be a view of the fetch, so it is not copied by its own properties.
          for (const { key, value, offset, timestamp, headers = {} } of batch.messages) {
            messages.push({ key, value, offset, timestamp, headers, partition });
          }
          const offset = String(BigInt(batch.lastOffset()) + 1n);
          await commitOffsetsIfNecessary({ topics: [{ topic, partitions: [{ partition, offset }] }] });
        },
      });
      return member;
    };

    test('keys, values, headers and tombstones come as they were sent, and a key decides the partition as in every client', async () => {
      const topic = await createTopic(brokers, 'records', 6);
      const keys = [...numbers(40), 'schlüssel', ''];
      const producer = kafka.producer();
      await producer.connect();
      const headers = { type: 'Kind', bytes: Buffer.from([0, 255]) };
      await producer.sendBatch({
        topicMessages: [{ topic, messages: keys.map((key) => ({ key, value: `v${key}`, headers })) }],
      });
      await producer.send({ topic, messages: [{ key: 'gone', value: null }] });
      await producer.disconnect();
      await using member = await openMember(topic);
      // A busy broker may take a batch twice: the producer is not idempotent.
      const byKey = await waitFor('all records', () => {
        const found = new Map(member.messages.map((message) => [String(message.key), message]));
        return found.size > keys.length && found;
      });
      expect(byKey.get('7')).toMatchObject({ value: Buffer.from('v7') });
      expect(
        Object.entries(byKey.get('7')?.headers ?? {}).map(([name, value]) => [name, String(value)]),
      ).toEqual([
        ['type', 'Kind'],
        ['bytes', String(headers.bytes)],
      ]);
      expect(byKey.get('gone')?.value).toBeNull();
      const second = open(other).producer();
      await second.connect();
      for (const key of keys) {
        const [written] = await second.send({ topic, messages: [{ key, value: '' }] });
        expect([key, byKey.get(key)?.partition]).toEqual([key, written?.partition]);
      }
      await second.disconnect();
    });

    test('only what is committed is read: of many aborted transactions of one producer, small and larger than a fetch, nothing', async () => {
      const topic = await createTopic(brokers, 'aborted', 1);
      const producer = raw.producer({
        transactionalId: randomUUID(),
        maxInFlightRequests: 1,
        idempotent: true,
      });
      await producer.connect();
      const wanted: string[] = [];
      const large = 'x'.repeat(40_000);
      const transact = async (label: string, count: number, isCommitted: boolean) => {
        const transaction = await producer.transaction();
        for (let index = 0; index < count; index += 1) {
          const value = `${label}${index}${large}`;
          await transaction.send({ topic, messages: [{ value, partition: 0 }] });
          if (isCommitted) wanted.push(value);
        }
        await (isCommitted ? transaction.commit() : transaction.abort());
      };
      await transact('aborted first ', 2, false);
      await transact('committed ', 1, true);
      await transact('aborted second ', 2, false);
      await transact('aborted third ', 1, false);
      await transact('committed again ', 2, true);
      await transact('aborted and large ', 20, false);
      await transact('committed last ', 1, true);
      await producer.disconnect();
      await using member = await openMember(topic, { maxBytesPerPartition: 100_000 });
      await waitFor('the last one', () => member.values().includes(wanted.at(-1) ?? ''));
      expect(member.values()).toEqual(wanted);
    });

    test('a transaction is read whole, and the next instance fences the one before', async () => {
      const topic = await createTopic(brokers, 'fencing', 2);
      const id = randomUUID();
      const records = (values: readonly string[]) => [
        [{ topic, messages: values.map((value, index) => ({ value, partition: index % 2 })) }],
      ];
      const first = await kafka.transactionalProducers([`${id}.0`, `${id}.1`]);
      const written = await first.producers[0]?.publish(records(['a0', 'a1']));
      expect(written?.map(({ partition }) => partition).sort()).toEqual([0, 1]);
      for (let round = 0; round < 20; round += 1) {
        await first.producers[round % 2]?.publish(records([`b${round}`, `c${round}`]));
      }
      const second = await kafka.transactionalProducers([`${id}.0`, `${id}.1`]);
      await expect(first.producers[0]?.publish(records(['fenced', 'fenced']))).rejects.toThrow();
      await second.producers[0]?.publish(records(['d0', 'd1']));
      await first.close();
      await second.close();
      await using reader = await openReader(brokers, topic);
      expect(await reader.untilEnd(0)).toEqual(['a0', ...numbers(20).map((round) => `b${round}`), 'd0']);
      expect(await reader.untilEnd(1)).toEqual(['a1', ...numbers(20).map((round) => `c${round}`), 'd1']);
    });

    test('a request that needs the offsets of those before it is made once they are written, and its records are read by their offsets', async () => {
      const topic = await createTopic(brokers, 'lazy', 1);
      const { producers, close } = await kafka.transactionalProducers([randomUUID()]);
      const request = (value: string) => [{ topic, messages: [{ key: value, value, partition: 0 }] }];
      for (const round of ['a', 'b']) {
        let offsets: number[] = [];
        await producers[0]?.publish([
          request(`${round}0`),
          request(`${round}1`),
          async (written) => {
            offsets = written.map(({ offset, baseOffset }) => Number(baseOffset ?? offset));
            return request(offsets.join());
          },
        ]);
        const [first = 0] = offsets;
        const records = await kafka.readRecords(topic, [...offsets, first + 2, first + 100]);
        expect(records.map((record) => record?.value?.toString())).toEqual([
          ...[`${round}0`, `${round}1`, offsets.join()],
          undefined,
        ]);
        expect(records[1]).toMatchObject({ key: Buffer.from(`${round}1`), offset: String(first + 1) });
        // The transaction's end.
        expect(await kafka.readRecords(topic, [first + 3])).toEqual([undefined]);
      }
      await close();
    });

    test('what the function of a request throws is passed on as it is, and nothing of its transaction is read', async () => {
      const topic = await createTopic(brokers, 'thrown', 1);
      const id = randomUUID();
      const request = (value: string) => [{ topic, messages: [{ value, partition: 0 }] }];
      const failing = await kafka.transactionalProducers([id]);
      const failure = new TypeError('a row that cannot be encoded');
      const published = failing.producers[0]?.publish([
        request('before'),
        async () => {
          throw failure;
        },
      ]);
      await expect(published).rejects.toBe(failure);
      await failing.close();
      const next = await kafka.transactionalProducers([id]);
      await next.producers[0]?.publish([request('after')]);
      await next.close();
      await using reader = await openReader(brokers, topic);
      expect(await reader.untilEnd(0)).toEqual(['after']);
    });

    test('members of one group, of different clients, share partitions; one that leaves hands its own on, and nothing is passed over', async () => {
      const topic = await createTopic(brokers, 'rebalance', 6);
      const groupId = randomUUID();
      const producer = kafka.producer({ idempotent: true });
      await producer.connect();
      let sent = 0;
      const sendSome = async () => {
        await producer.send({
          topic,
          messages: numbers(60, sent).map((value, index) => ({ value, partition: index % 6 })),
        });
        sent += 60;
      };
      await sendSome();
      await using stays = await openMember(topic, { groupId });
      await waitFor('the first records', () => stays.messages.length >= 60);
      const leaves = await openMember(topic, { groupId, kind: other });
      await waitFor(
        'both to have a share',
        () => stays.assignment.length === 3 && leaves.assignment.length === 3,
      );
      await sendSome();
      await waitFor('both to read', () => {
        const read = new Set([...stays.values(), ...leaves.values()]);
        return read.size === sent && leaves.messages.length > 0;
      });
      await leaves.consumer.disconnect();
      await waitFor('one to have all', () => stays.assignment.length === 6);
      await sendSome();
      await waitFor(
        'everything to be read',
        () => new Set([...stays.values(), ...leaves.values()]).size === sent,
      );
      await producer.disconnect();
      for (const partition of numbers(6).map(Number)) {
        const own = stays.messages.filter((message) => message.partition === partition);
        const offsets = own.map(({ offset }) => Number(offset));
        expect(offsets).toEqual([...new Set(offsets)].sort((a, b) => a - b));
      }
    });

    test('a group goes on behind what it committed, also of another client, and its offsets keep their metadata', async () => {
      const topic = await createTopic(brokers, 'committed', 1);
      const groupId = randomUUID();
      await sendAll(topic, numbers(10));
      const first = await openMember(topic, { groupId });
      await waitFor('the first records', () => first.messages.length === 10);
      const metadata = 'as far as 4';
      await first.consumer.commitOffsets([{ topic, partition: 0, offset: '5', metadata }]);
      await first.consumer.disconnect();
      const [found] = await admin.fetchOffsets({ groupId, topics: [topic] });
      expect(found?.partitions).toEqual([{ partition: 0, offset: '5', metadata }]);
      await using second = await openMember(topic, {
        groupId,
        kind: other,
      });
      await waitFor('the rest', () => second.messages.length === 5);
      expect(second.values()).toEqual(numbers(5, 5));
    });

    test('where what is next was deleted, a group goes on with the first record that is left', async () => {
      const topic = await createTopic(brokers, 'deleted', 1);
      const groupId = randomUUID();
      await sendAll(topic, numbers(10));
      const first = await openMember(topic, { groupId });
      await waitFor('the first records', () => first.messages.length === 10);
      await first.consumer.commitOffsets([{ topic, partition: 0, offset: '2' }]);
      await first.consumer.disconnect();
      // kafkajs deletes only of topics that it has looked at.
      await admin.fetchTopicOffsets(topic);
      await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '7' }] });
      await using second = await openMember(topic, { groupId });
      await waitFor('what is left', () => second.messages.length === 3);
      expect(second.values()).toEqual(numbers(3, 7));
    });

    test('a partition is paused and sought by itself: it comes again from there, while others go on', async () => {
      const topic = await createTopic(brokers, 'sought', 2);
      for (const partition of [0, 1]) await sendAll(topic, numbers(5), partition);
      const consumer = kafka.consumer({ groupId: randomUUID(), ...GROUP_SETTINGS });
      const read: string[][] = [[], []];
      let goOn: (() => void) | undefined;
      await consumer.connect();
      await consumer.subscribe({ topic, fromBeginning: true });
      await consumer.run({
        autoCommit: false,
        eachBatchAutoResolve: false,
        partitionsConsumedConcurrently: 2,
        eachBatch: async ({ batch, resolveOffset, pause }) => {
          for (const message of batch.messages) {
            if (batch.partition === 0 && message.offset === '3' && goOn === undefined) {
              goOn = pause();
              return;
            }
            read[batch.partition]?.push(String(message.value));
            resolveOffset(message.offset);
          }
        },
      });
      await waitFor('one to be paused', () => goOn !== undefined && read[1]?.length === 5);
      await sendAll(topic, numbers(5, 5), 1);
      await waitFor('the other to go on', () => read[1]?.length === 10);
      expect(read[0]).toEqual(numbers(3));
      goOn?.();
      await waitFor('it to go on', () => read[0]?.length === 5);
      consumer.seek({ topic, partition: 0, offset: '1' });
      await waitFor('it to come again', () => read[0]?.length === 9);
      await consumer.disconnect();
      expect(read).toEqual([[...numbers(5), ...numbers(4, 1)], numbers(10)]);
    });

    test.each(CODECS)('records that the broker keeps compressed by %s are read', async (codec) => {
      const topic = await createTopic(brokers, codec, 1, { 'compression.type': codec });
      const values = numbers(500).map((value) => `${value} ${'again and '.repeat(20)}`);
      await sendAll(topic, values);
      await using member = await openMember(topic);
      await waitFor('all records', () => member.messages.length === values.length);
      expect(member.values()).toEqual(values);
    });

    test('a record that is too large is refused by name, and the next one is taken', async () => {
      const topic = await createTopic(brokers, 'oversized', 1, { 'max.message.bytes': '10000' });
      const producer = kafka.producer({ idempotent: true });
      await producer.connect();
      await producer.send({ topic, messages: [{ value: 'before' }] });
      await expect(producer.send({ topic, messages: [{ value: 'x'.repeat(20_000) }] })).rejects.toMatchObject(
        {
          type: 'MESSAGE_TOO_LARGE',
        },
      );
      await producer.send({ topic, messages: [{ value: 'behind' }] });
      await producer.disconnect();
      await using reader = await openReader(brokers, topic);
      expect(await reader.untilEnd(0)).toEqual(['before', 'behind']);
    });

    test('a record larger than a fetch is read', async () => {
      const topic = await createTopic(brokers, 'large', 1, { 'max.message.bytes': '3000000' });
      const values = ['small', 'x'.repeat(2_000_000), 'small again'];
      for (const value of values) await sendAll(topic, [value]);
      await using member = await openMember(topic, { maxBytesPerPartition: 100_000 });
      await waitFor('all records', () => member.messages.length === 3);
      expect(member.values()).toEqual(values);
    });
  });
}
