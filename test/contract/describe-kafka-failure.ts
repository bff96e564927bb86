import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { choosePort } from '../../deploy/local/ports.ts';
import { createKafka } from '../../shared/kafka/client.ts';
import type { KafkaClientKind } from '../../shared/kafka/client-config.ts';
import type { KafkaClient, KafkaProducer } from '../../shared/kafka/kafka-client.ts';
import { silentLog } from '../../shared/runtime/log.ts';
import { type OwnKafka, openOwnKafka } from '../support/own-kafka.ts';
import { openSilentProxy, type SilentProxy } from '../support/silent-proxy.ts';
import { createTopic, openReader } from '../support/topic-reader.ts';
import { waitFor } from '../support/wait-for.ts';

const PREFERRED_PORT = 19_292;
const PARTITIONS = 4;
/** Of these a partition has several under way at any time. */
const SENDS_AT_ONCE = 200;
const ROUNDS = 12;

/** What every client must do when connections break and the broker, which is the test's own and behind a proxy, dies. */
export function describeKafkaFailure(clients: readonly KafkaClientKind[]): void {
  const cleanup = new AsyncDisposableStack();
  let proxy: SilentProxy;
  let broker: OwnKafka;

  beforeAll(async () => {
    const port = await choosePort(PREFERRED_PORT);
    proxy = cleanup.use(await openSilentProxy('127.0.0.1', port));
    const advertised = { 'advertised.listeners': `PLAINTEXT://127.0.0.1:${proxy.port}` };
    broker = cleanup.use(await openOwnKafka({ port, settings: advertised }));
  });
  afterAll(() => cleanup.disposeAsync());

  describe.each(clients)('%s: under failure', (client) => {
    let kafka: KafkaClient;

    beforeAll(() => {
      const brokers = [`127.0.0.1:${proxy.port}`];
      kafka = createKafka({ client, brokers, ssl: false, sasl: undefined }, 'test-contract', silentLog);
    });

    /** Sends `SENDS_AT_ONCE` at a time, of one to three records, and disturbs them. @returns the acknowledged ones, in order */
    const sendInParallel = async (
      topic: string,
      producer: KafkaProducer,
      disturb: (round: number) => unknown,
    ): Promise<string[][]> => {
      const acknowledged: string[][] = Array.from({ length: PARTITIONS }, () => []);
      let next = 0;
      for (let round = 0; round < ROUNDS; round += 1) {
        const sends = Array.from({ length: SENDS_AT_ONCE }, (_, index) => {
          const partition = index % PARTITIONS;
          const values = Array.from({ length: 1 + (index % 3) }, () => String(next++));
          const messages = values.map((value) => ({ partition, value }));
          return producer.send({ topic, messages }).then(
            () => ({ partition, values }),
            () => undefined,
          );
        });
        disturb(round);
        for (const sent of await Promise.all(sends)) {
          if (sent !== undefined) acknowledged[sent.partition]?.push(...sent.values);
        }
      }
      return acknowledged;
    };

    /** Each acknowledged record is there once, and they are in the order of their sends. */
    const expectOnceAndInOrder = async (topic: string, acknowledged: readonly string[][]) => {
      await using reader = await openReader(broker.brokers, topic);
      for (const [partition, values] of acknowledged.entries()) {
        const wanted = new Set(values);
        const found = (await reader.untilEnd(partition)).filter((value) => wanted.has(value));
        expect(found).toEqual(values);
      }
      expect(acknowledged.flat().length).toBeGreaterThan(1_000);
    };

    test('parallel sends over cut connections: what is acknowledged is stored once, and in order', async () => {
      const topic = await createTopic(broker.brokers, 'cut', PARTITIONS);
      const producer = kafka.producer({ idempotent: true });
      await producer.connect();
      // The answers to the first requests get lost, not the requests.
      const acknowledged = await sendInParallel(topic, producer, (round) => {
        if (round % 2 === 1) proxy.cut();
        else setImmediate(() => proxy.cut());
      });
      await producer.disconnect();
      await expectOnceAndInOrder(topic, acknowledged);
    });

    test('parallel sends over silent connections, whose answers get lost: stored once, and in order', async () => {
      const topic = await createTopic(broker.brokers, 'silent', PARTITIONS);
      const producer = kafka.producer({ idempotent: true });
      await producer.connect();
      const acknowledged = await sendInParallel(topic, producer, async (round) => {
        if (round % 4 !== 0) return;
        proxy.loseAnswers();
        const before = proxy.sentBytes;
        await waitFor('a request to go through unanswered', () => proxy.sentBytes > before);
        proxy.cut();
      });
      await producer.disconnect();
      await expectOnceAndInOrder(topic, acknowledged);
    });

    test('parallel sends while the broker is killed and started again: stored once, and in order', async () => {
      const topic = await createTopic(broker.brokers, 'killed', PARTITIONS);
      const producer = kafka.producer({ idempotent: true, retry: { retries: 30, maxRetryTime: 1_000 } });
      await producer.connect();
      let restarted: Promise<void> = Promise.resolve();
      const acknowledged = await sendInParallel(topic, producer, (round) => {
        if (round % 6 !== 1) return;
        restarted = restarted.then(() => broker.kill()).then(() => broker.start());
      });
      await restarted;
      await producer.disconnect();
      await expectOnceAndInOrder(topic, acknowledged);
    });
  });
}
