import type { Admin } from 'kafkajs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { topicsApplyCommand } from '../../../deploy/cli/commands/topics.ts';
import { fixTopics, reviewTopics } from '../../../deploy/cli/topics/apply-topics.ts';
import { createKafka } from '../../../shared/kafka/client.ts';
import { ensureTopics } from '../../../shared/kafka/ensure-topics.ts';
import { topicsOf } from '../../../shared/kafka/topics.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { rawKafka } from '../../support/raw-kafka.ts';
import { runCommand } from '../../support/run-command.ts';
import { testStack, topicPrefix } from '../../support/stack.ts';
import { waitFor } from '../../support/wait-for.ts';

const prefix = topicPrefix();
const { declarations } = topicsOf(prefix, { name: 'none', resources: [] });
let admin: Admin;

beforeAll(async () => {
  admin = rawKafka(testStack().kafkaBrokers).admin();
  await admin.connect();
});
afterAll(async () => {
  const names = (await admin.listTopics()).filter((name) => name.startsWith(`${prefix}.`));
  await admin.deleteTopics({ topics: names });
  await admin.disconnect();
});

test('more replicas must have a record only once so many have all, and other settings do not wait for it', async () => {
  const one = { replicas: 1, minInsync: 1, maxMessageBytes: 0 };
  const signal = AbortSignal.timeout(60_000);
  await fixTopics(admin, await reviewTopics(admin, declarations, one), one, { onFixed: () => {}, signal });
  await waitFor('the topics', async () =>
    (await reviewTopics(admin, declarations, one)).every(({ findings }) => findings.length === 0),
  );

  // As it is while new replicas are being copied: they count, and only one is in sync.
  const two = { ...one, minInsync: 2, maxMessageBytes: 200_000_000 };
  const fixed: string[] = [];
  const options = { onFixed: (line: string) => void fixed.push(line), signal };
  await fixTopics(admin, await reviewTopics(admin, declarations, two), two, options);
  const changes = `${prefix}.changes`;
  expect(fixed).toContain(`configured   ${changes}: max.message.bytes=200000000`);
  expect(fixed).toContain(
    `waits        ${changes}: min.insync.replicas=2, because a partition has 1 replica in sync`,
  );
  // The broker shows new settings a moment after it has taken them.
  const readFindings = async () =>
    (await reviewTopics(admin, declarations, two)).flatMap(({ findings }) =>
      findings.map(({ text }) => text),
    );
  await expect
    .poll(readFindings)
    .toEqual(declarations.map(({ name }) => `topic ${name} has min.insync.replicas=1, and 2 is wanted`));
});

test('topics that are sized by few brokers are told, with the setting that sizes them', async () => {
  const env = { KAFKA_BROKERS: testStack().kafkaBrokers, TOPIC_PREFIX: `${prefix}.few` };
  const apply = (more: object) =>
    runCommand(topicsApplyCommand, [], { env: { ...env, ...more }, home: '/nowhere' });
  const { code, lines } = await apply({});
  expect(lines.at(-1)).toMatch(
    /^warning +new topics have 1 replica, because 1 broker lives now.*KAFKA_REPLICATION_FACTOR/,
  );
  expect(code).toBe(0);
  expect((await apply({ KAFKA_REPLICATION_FACTOR: '1' })).lines.join()).not.toContain('warning');
});

test('offsets of a topic that was made a moment ago are found, although its brokers do not all lead yet', async () => {
  const { kafkaBrokers } = testStack();
  const config = { client: 'tuned', brokers: [kafkaBrokers], ssl: false, sasl: undefined } as const;
  const client = createKafka(config, 'test', silentLog).admin();
  await client.connect();
  try {
    for (let round = 0; round < 4; round += 1) {
      const made = topicsOf(`${prefix}.new-${round}`, { name: 'none', resources: [] });
      await ensureTopics(client, made.declarations);
      const found = await Promise.all(
        made.declarations.map(({ name }) => client.fetchTopicOffsets(name).then(({ length }) => length)),
      );
      expect(found).toEqual(made.declarations.map(({ partitions }) => partitions));
    }
  } finally {
    await client.disconnect();
  }
});
