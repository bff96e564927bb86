import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { buildApi } from '../../../services/api/build.ts';
import { readApiConfig } from '../../../services/api/config.ts';
import type { Status } from '../../../services/api/status/response.ts';
import { createKafka } from '../../../shared/kafka/client.ts';
import { readKafkaConfig } from '../../../shared/kafka/client-config.ts';
import { createMessageCodec, type Message } from '../../../shared/kafka/messages.ts';
import { createRegistry } from '../../../shared/kafka/registry.ts';
import { GROUP_SETTINGS } from '../../../shared/kafka/run-consumer.ts';
import { commandsGroup, subjectsOf } from '../../../shared/protocol/names.ts';
import { envReader } from '../../../shared/runtime/env.ts';
import { createLog, silentLog } from '../../../shared/runtime/log.ts';
import { ADMIN_KEY } from '../../support/api-server.ts';
import { hasSubject } from '../../support/registered-subject.ts';
import { startService } from '../../support/services.ts';
import { createDatabase, testStack, topicPrefix } from '../../support/stack.ts';
import { waitFor } from '../../support/wait-for.ts';

test('an accepted export’s command reaches Kafka once, in order, by the whole service', async () => {
  await using cleanup = new AsyncDisposableStack();
  const database = cleanup.use(await createDatabase('api_relay'));
  const root = cleanup.adopt(await mkdtemp(join(tmpdir(), 'tandem-api-')), (path) =>
    rm(path, { recursive: true }),
  );
  const { kafkaBrokers, schemaRegistryUrl } = testStack();
  const prefix = topicPrefix();
  const config = readApiConfig({
    DATABASE_URL: database.url,
    KAFKA_BROKERS: kafkaBrokers,
    SCHEMA_REGISTRY_URL: schemaRegistryUrl,
    STORAGE_URL: pathToFileURL(root).href,
    CATALOG: 'schemas/catalogs/documint.yaml',
    TOPIC_PREFIX: prefix,
    PORT: '0',
    ADMIN_KEY,
    SECRET_KEY: 'a key of thirty-two characters!!',
  });

  const lines: Record<string, unknown>[] = [];
  const log = createLog('info', {}, (line) => lines.push(JSON.parse(line)));
  cleanup.use(await startService((context) => buildApi(config, context), log));
  const url = String(lines.find(({ event }) => event === 'service.listening')?.url);
  await waitFor('the api is ready', async () => (await fetch(`${url}/readyz`)).status === 200);

  const call = async (path: string, key: string, body: unknown, once = 'one') => {
    const response = await fetch(`${url}${path}`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${key}`,
        'content-type': 'application/json',
        'idempotency-key': once,
      },
      body: JSON.stringify(body),
    });
    return (await response.json()) as { id: string; key: string };
  };
  const account = await call('/admin/accounts', ADMIN_KEY, { name: 'A', source_id: 'a' });
  const { key } = await call(`/admin/accounts/${account.id}/keys`, ADMIN_KEY, {});
  // The source has none of the catalog's tables: an export is accepted all the same.
  const job = await call('/exports', key, { resource: 'invoices' });
  expect((await call('/exports', key, { resource: 'invoices' })).id).toBe(job.id);

  const kafka = createKafka(readKafkaConfig(envReader({ KAFKA_BROKERS: kafkaBrokers })), 'test', silentLog);
  const codec = createMessageCodec(createRegistry(schemaRegistryUrl), subjectsOf(prefix));
  await waitFor('the topics are there', async () => {
    const admin = kafka.admin();
    await admin.connect();
    const topics = await admin.listTopics();
    await admin.disconnect();
    return topics.includes(`${prefix}.commands`) && topics.includes(`${prefix}.jobs`);
  });
  const consumer = kafka.consumer({ groupId: commandsGroup(prefix), ...GROUP_SETTINGS });
  cleanup.defer(() => consumer.disconnect());
  await consumer.connect();
  await consumer.subscribe({ topics: [`${prefix}.commands`, `${prefix}.jobs`], fromBeginning: true });
  const messages: Message[] = [];
  await consumer.run({
    eachMessage: async ({ message }) => {
      const decoded = await codec.decode(message);
      if (decoded !== undefined && message.key?.toString() === job.id) messages.push(decoded);
    },
  });

  const cancelled = await fetch(`${url}/exports/${job.id}/cancel`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}` },
  });
  expect(cancelled.status).toBe(202);
  await waitFor('every message is there', () => messages.some(({ type }) => type === 'JobCancelled'));
  await waitFor('the command is there', () => messages.some(({ type }) => type === 'ExtractExport'));
  const ofJobs = messages.filter(({ type }) => type.startsWith('Job')).map(({ type }) => type);
  expect(ofJobs).toEqual(['JobCreated', 'JobCancelled']);
  expect(messages.filter(({ type }) => type === 'ExtractExport')).toHaveLength(1);
  expect(messages.find(({ type }) => type === 'JobCreated')?.value).toMatchObject({
    job_id: job.id,
    kind: 'export',
    account_id: account.id,
  });
  // As those of every service, so that two installations may share a registry.
  for (const name of ['commands.ExtractExport', 'jobs.JobCreated']) {
    expect(await hasSubject(schemaRegistryUrl, `${prefix}.tandem.${name}`), name).toBe(true);
  }

  // The operator sees what each group has not read, and that the process runs.
  const statusOf = async () => {
    const response = await fetch(`${url}/admin/status`, {
      headers: { authorization: `Bearer ${ADMIN_KEY}` },
    });
    return (await response.json()) as Status;
  };
  const groupOf = async (group: string) =>
    (await statusOf()).consumers?.find((each) => each.group === `${prefix}.${group}`);
  const readAll = await waitFor('the group has read all', async () => {
    const group = await groupOf('extractor');
    return group?.lag === 0 && group.topics[0]?.partitions.some(({ lag }) => lag === 0) ? group : undefined;
  });
  expect(readAll).toMatchObject({ service: 'extractor', state: 'Stable', members: 1, topics_omitted: 0 });
  expect(readAll.topics).toMatchObject([{ topic: `${prefix}.commands`, partitions: { length: 6 } }]);
  const { processes, bottlenecks } = await waitFor('the process has reported that it is ready', async () => {
    const status = await statusOf();
    return status.processes?.[0]?.state === 'ready' ? status : undefined;
  });
  expect(processes).toMatchObject([{ service: 'api', pid: process.pid }]);
  expect(bottlenecks.map(({ code }) => code)).toEqual(['service_missing']);
  // A group that nobody has ever joined has everything to read.
  expect(await groupOf('dispatcher.feed')).toMatchObject({ members: 0, lag: 2 });
  await consumer.disconnect();
  await call('/exports', key, { resource: 'customers' }, 'two');
  await waitFor('the group is further behind', async () => (await groupOf('dispatcher.feed'))?.lag === 3);
  await waitFor('the group has no member', async () => (await groupOf('extractor'))?.state === 'Empty');
});
