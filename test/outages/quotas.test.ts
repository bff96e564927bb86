import { afterAll, beforeAll, expect, test } from 'vitest';
import { createKafka } from '../../shared/kafka/client.ts';
import { GROUP_SETTINGS, runConsumer } from '../../shared/kafka/run-consumer.ts';
import { createLog, type Log } from '../../shared/runtime/log.ts';
import { type CaptureWorld, createCaptureWorld } from '../support/capture-world.ts';
import { type OwnKafka, openOwnKafka, setQuota } from '../support/own-kafka.ts';
import { waitFor } from '../support/wait-for.ts';

const SCHEMA = `
  create schema app;
  create table app.items (id bigint primary key, account_id text not null, pad text);
`;

const CATALOG = `
catalog: quotas
resources:
  items: { table: app.items, event: item, key: [id], account: account_id }
`;

/** A quota is counted over eleven seconds. */
const WINDOW_SECONDS = 11;

const cleanup = new AsyncDisposableStack();
let kafka: OwnKafka;
let world: CaptureWorld;

beforeAll(async () => {
  // A transaction that is open for too long is looked for every ten seconds by default.
  const settings = { 'transaction.abort.timed.out.transaction.cleanup.interval.ms': 1_000 };
  kafka = cleanup.use(await openOwnKafka({ settings }));
  world = cleanup.use(
    await createCaptureWorld({ schemaSql: SCHEMA, catalog: CATALOG, kafkaBrokers: kafka.brokers }),
  );
});
afterAll(() => cleanup.disposeAsync());

function lines(): { log: Log; found: string[] } {
  const found: string[] = [];
  return { found, log: createLog('debug', {}, (line) => void found.push(line)) };
}

const insert = (from: number, to: number) =>
  world.pool.query(
    `insert into app.items select n, 'acme', repeat('p', 1800) from generate_series($1::int, $2) n`,
    [from, to],
  );

test('with a quota that takes minutes for a batch, capture publishes each batch once and in order', async () => {
  const { log, hasLogged } = world.spawn(['--disable-warning=TimeoutNegativeWarning']);
  await waitFor('it to stream', () => hasLogged('feed.started'));
  // 500 rows have 1 MB, which waits for 40 seconds.
  const bytesPerSecond = 20_000;
  await setQuota(kafka.brokers, 'tandem-capture', { producer_byte_rate: bytesPerSecond });
  await insert(1, 500);
  const ids = () => world.reader.changes.map(({ after }) => Number(after?.id));
  await waitFor('the first batch', () => ids().length === 500);
  await insert(501, 510);
  await waitFor('the second batch', () => ids().length >= 510);
  expect(ids()).toEqual(Array.from({ length: 510 }, (_, place) => place + 1));
  expect(hasLogged('session.failed')).toBe(false);
  expect(log.find(({ event }) => event === 'kafka.throttled')).toMatchObject({
    level: 'warn',
    clientId: 'tandem-capture',
  });
  await setQuota(kafka.brokers, 'tandem-capture', { producer_byte_rate: 1e9 });
});

test('a consumer whose quota is used up stays in its group, and gets every record once', async () => {
  const { log, found } = lines();
  const client = createKafka(
    { client: 'tuned', brokers: [kafka.brokers], ssl: false, sasl: undefined },
    'quota-reader',
    log,
  );
  const admin = client.admin();
  await admin.connect();
  await admin.createTopics({ waitForLeaders: true, topics: [{ topic: 'big', numPartitions: 2 }] });
  await admin.disconnect();
  const producer = client.producer();
  await producer.connect();
  const count = 120;
  const value = Buffer.alloc(50_000, 'v');
  for (let key = 0; key < count; key += 1) {
    await producer.send({ topic: 'big', messages: [{ key: String(key), value, partition: key % 2 }] });
  }
  await producer.disconnect();
  const bytesPerSecond = 200_000;
  expect(count * value.length).toBeGreaterThan(bytesPerSecond * WINDOW_SECONDS * 2);
  await setQuota(kafka.brokers, 'quota-reader', { consumer_byte_rate: bytesPerSecond });

  const consumer = client.consumer({ groupId: 'quota-reader', ...GROUP_SETTINGS });
  await consumer.connect();
  await consumer.subscribe({ topics: ['big'], fromBeginning: true });
  const keys: number[] = [];
  let joins = 0;
  const stop = new AbortController();
  const ended = runConsumer(
    consumer,
    { eachMessage: async ({ message }) => void keys.push(Number(message.key)) },
    stop.signal,
    () => {
      joins += 1;
    },
  );
  await waitFor('all records', () => new Set(keys).size === count);
  stop.abort();
  await ended;
  expect(keys.toSorted((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, key) => key));
  expect(joins).toBe(1);
  expect(found.join()).toContain('"kafka.throttled"');
});
