import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Admin, Kafka, logLevel } from 'kafkajs';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { topicsApplyCommand } from '../../deploy/cli/commands/topics.ts';
import { Area } from '../../deploy/cli/doctor/area.ts';
import { examineKafka } from '../../deploy/cli/doctor/kafka.ts';
import { fixTopics, reviewTopics } from '../../deploy/cli/topics/apply-topics.ts';
import { parseExactJson } from '../../deploy/demo/exact-json.ts';
import type { FeedEvent } from '../../deploy/demo/replica.ts';
import { openWorld, type World } from '../../deploy/demo/world.ts';
import { SAMPLE_CATALOG } from '../../deploy/local/service-env.ts';
import { startServices } from '../../deploy/local/supervise.ts';
import { loadCatalog } from '../../shared/catalog/load-catalog.ts';
import { accountPartition } from '../../shared/domain/account-partition.ts';
import { ensureTopics } from '../../shared/kafka/ensure-topics.ts';
import { targetsOf } from '../../shared/kafka/topic-plan.ts';
import { CLUSTER_DECIDES } from '../../shared/kafka/topic-settings.ts';
import { topicsOf } from '../../shared/kafka/topics.ts';
import type { Log } from '../../shared/runtime/log.ts';
import { silentLog } from '../../shared/runtime/log.ts';
import { runChaos } from '../chaos/run-chaos.ts';
import { type OwnKafkaCluster, openOwnKafkaCluster } from '../support/own-kafka.ts';
import { runCommand } from '../support/run-command.ts';
import { testStack } from '../support/stack.ts';
import { createExport, differencesAfter, loadExport, pullFeed } from '../support/subscriber.ts';
import { waitFor } from '../support/wait-for.ts';
import { killEveryLeader, untilInSync } from './kill-leaders.ts';

const cleanup = new AsyncDisposableStack();
let cluster: OwnKafkaCluster;
let admin: Admin;
let directory: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'tandem-cluster-'));
  cleanup.defer(() => rmSync(directory, { recursive: true, force: true }));
  cluster = cleanup.use(await openOwnKafkaCluster());
  const kafka = new Kafka({
    clientId: 'test-cluster',
    brokers: cluster.brokers.split(','),
    logLevel: logLevel.NOTHING,
    retry: { initialRetryTime: 50, retries: 20, maxRetryTime: 1_000 },
  });
  admin = cleanup.adopt(kafka.admin(), (connected) => connected.disconnect());
  await admin.connect();
});
afterAll(() => cleanup.disposeAsync());

test('topics that lack replicas, or lose records early, are told, and corrected in place', async () => {
  const { declarations } = topicsOf('thin', { name: 'c', resources: [] });
  const thin = { ...CLUSTER_DECIDES, replicationFactor: 1, minInsyncReplicas: 1 };
  await ensureTopics(admin, declarations, { settings: thin });
  const changes = 'thin.changes';
  const short = [
    { name: 'retention.ms', value: '60000' },
    { name: 'segment.bytes', value: '1048576' },
  ];
  await admin.alterConfigs({
    validateOnly: false,
    resources: [
      { type: 2, name: changes, configEntries: [...short, { name: 'cleanup.policy', value: 'delete' }] },
    ],
  });
  const warnings: unknown[] = [];
  const log: Log = { ...silentLog, warn: (_, fields) => void warnings.push(fields) };
  // A broker shows new settings a moment after it has taken them.
  await waitFor('the broker to show the settings', async () => {
    await ensureTopics(admin, declarations, { log });
    return JSON.stringify(warnings).includes(`topic ${changes} has retention.ms=60000`);
  });
  expect(JSON.stringify(warnings)).toContain(`topic ${changes} has 1 of 3 replicas`);

  const targets = targetsOf(CLUSTER_DECIDES, 3);
  const reviews = await reviewTopics(admin, declarations, targets);
  const fixed: string[] = [];
  const options = { onFixed: (line: string) => void fixed.push(line), signal: AbortSignal.timeout(60_000) };
  await fixTopics(admin, reviews, targets, options);
  expect(fixed).toContain(`replicated   ${changes}: 3 replicas`);
  const after = await waitFor('nothing to be left', async () => {
    const found = await reviewTopics(admin, declarations, targets);
    return found.every(({ findings }) => findings.length === 0) && found;
  });
  // What Tandem says nothing about stays.
  const config = after.find(({ declaration }) => declaration.name === changes)?.found?.config;
  expect(config?.get('segment.bytes')).toBe('1048576');
  expect(config?.get('retention.ms')).toBe(String(30 * 24 * 3_600_000));
});

test('what a broker that is away leaves without a leader, or without enough copies, is named, and topics apply waits for it', async () => {
  const catalog = await loadCatalog(SAMPLE_CATALOG);
  const { declarations, changes, jobs } = topicsOf('parted', catalog);
  const [victim = 0, ...others] = cluster.nodes.keys();
  const names = declarations.map(({ name }) => name).filter((name) => name !== jobs);
  await admin.createTopics({
    waitForLeaders: false,
    topics: declarations
      .filter(({ name }) => names.includes(name))
      .map(({ name, partitions, cleanup: policy }) => ({
        topic: name,
        replicaAssignment: Array.from({ length: partitions }, (_, partition) => ({
          partition,
          replicas:
            name === changes ? [partition === 7 ? victim : (others[0] ?? 0)] : [victim, others[0] ?? 0],
        })),
        configEntries: [
          { name: 'cleanup.policy', value: policy },
          { name: 'min.insync.replicas', value: name === changes ? '1' : '2' },
        ],
      })),
  });
  await untilInSync(admin, names);
  await cluster.nodes.get(victim)?.kill();
  const config = {
    client: 'tuned',
    brokers: cluster.brokers.split(','),
    ssl: false,
    sasl: undefined,
  } as const;
  const examined = await waitFor('the broker to be missed', async () => {
    const area = new Area('kafka', 60_000, AbortSignal.timeout(120_000));
    await examineKafka(area, { config, settings: CLUSTER_DECIDES, prefix: 'parted', catalog });
    const found = area.findings.filter(({ what }) => what === 'topics');
    return found.some(({ detail }) => detail.includes(`broker ${victim} is away`)) && found;
  });
  const other = names.find((name) => name !== changes);
  expect(examined).toContainEqual(
    expect.objectContaining({ status: 'failure', detail: `1 partitions have no leader: ${changes}/7` }),
  );
  expect(examined).toContainEqual(
    expect.objectContaining({
      status: 'failure',
      detail: expect.stringMatching(new RegExp(`accept no record.*: ${other}/0`)),
    }),
  );
  expect(examined).toContainEqual(
    expect.objectContaining({
      status: 'warning',
      detail: expect.stringContaining(`broker ${victim} is away`),
    }),
  );

  const said: string[] = [];
  const env = { KAFKA_BROKERS: cluster.brokers, TOPIC_PREFIX: 'parted', KAFKA_REPLICATION_FACTOR: '3' };
  const applied = runCommand(topicsApplyCommand, [], {
    env,
    home: '/nowhere',
    onLine: (line) => said.push(line),
  });
  await waitFor('the command to wait', () =>
    said.includes(`waits        for a leader of ${changes}/7: start the brokers that are away`),
  );
  await cluster.nodes.get(victim)?.start();
  const { code, lines } = await applied;
  expect(lines).toContain(`created      ${jobs}`);
  expect(lines).toContain(`replicated   ${changes}: 3 replicas`);
  expect(lines.at(-1)).toBe(`the ${declarations.length} topics are as declared`);
  expect(code).toBe(0);
  const { topics } = await admin.fetchTopicMetadata({ topics: declarations.map(({ name }) => name) });
  expect(topics.flatMap(({ partitions }) => partitions.filter(({ isr }) => isr.length < 3))).toEqual([]);
});

test('the leader of every partition is killed in turn under load, and nothing is lost or repeated', async () => {
  const over = Promise.withResolvers<void>();
  let exported = 0;
  /** Between two kills everything works for a while. */
  const untilExported = async () => {
    const before = exported;
    await waitFor('one more export', () => exported > before);
  };
  let factors: number[] = [];
  const result = await runChaos({
    ...testStack(),
    kafkaBrokers: cluster.brokers,
    async breakThings({ prefix, catalog }) {
      const own = topicsOf(prefix, catalog).declarations.map(({ name }) => name);
      const topics = [...own, '__consumer_offsets', '__transaction_state'];
      const metadata = await admin.fetchTopicMetadata({ topics });
      factors = metadata.topics.flatMap(({ partitions }) =>
        partitions.map(({ replicas }) => replicas.length),
      );
      await createForeignTopics();
      try {
        return await killEveryLeader(cluster, admin, topics, untilExported);
      } finally {
        over.resolve();
      }
    },
    until: () => over.promise,
    directory,
    seed: 1,
    exportKinds: ['single'],
    copies: 1,
    rows: 2_000,
    perSecond: 50,
    log: silentLog,
    say(line) {
      if (/^export .* loaded$/.test(line)) exported += 1;
    },
  });
  expect(result.faults).toEqual([]);
  // Made by the services themselves.
  expect(new Set(factors)).toEqual(new Set([3]));
  expect(factors.length).toBeGreaterThan(40);
  expect(Object.keys(result.breaks).sort()).toEqual(['broker 1', 'broker 2', 'broker 3']);
  expect(result.exports).toBeGreaterThan(0);
  expect(result.jobs).toBeGreaterThan(0);
  expect(result.deliveries).toBeGreaterThan(0);
}, 600_000);

/** Of another product on the same cluster: whichever broker is killed, one of these has no leader. */
async function createForeignTopics(): Promise<void> {
  const replicaAssignment = [...cluster.nodes.keys()].map((id, partition) => ({ partition, replicas: [id] }));
  await admin.createTopics({ waitForLeaders: false, topics: [{ topic: 'foreign', replicaAssignment }] });
}

async function touchInvoices(world: World, account: string, memo: string): Promise<void> {
  const client = new pg.Client({ connectionString: world.sourceUrl });
  await client.connect();
  await client.query('update documint.invoices set memo = $1 where account_id = $2', [memo, account]);
  await client.end();
}

/** A broker that lacks records leads, as an operator may allow it to. */
async function allowUncleanLeaders(topic: string): Promise<void> {
  await admin.alterConfigs({
    validateOnly: false,
    resources: [
      {
        type: 2,
        name: topic,
        configEntries: [
          { name: 'cleanup.policy', value: 'delete' },
          { name: 'min.insync.replicas', value: '1' },
          { name: 'unclean.leader.election.enable', value: 'true' },
        ],
      },
    ],
  });
}

test('acknowledged records that a leader without them loses are told as lost, and a new export brings the copy back', async () => {
  await using world = await openWorld({
    stack: { ...testStack(), kafkaBrokers: cluster.brokers },
    directory,
    rows: 300,
    accounts: 2,
    services: { api: 1, extractor: 1, writer: 1, capture: 1 },
    log: silentLog,
    env: { KAFKA_REPLICATION_FACTOR: '2', KAFKA_MIN_INSYNC_REPLICAS: '1' },
  });
  const account = world.generated.accounts[0] ?? '';
  const startDispatcher = () =>
    startServices({
      env: world.env,
      services: { dispatcher: 1 },
      log: silentLog,
      home: join(directory, world.prefix, 'dispatcher'),
    });
  const customer = await world.createCustomer(account);
  let replica: Awaited<ReturnType<typeof loadExport>>;
  let at: string;
  {
    await using _dispatcher = await startDispatcher();
    const first = await createExport(world, customer);
    replica = await loadExport(world, customer, first.id);
    await touchInvoices(world, account, 'recorded');
    at = `after_export=${first.id}`;
    const pull = async () => {
      at = await pullFeed(customer, at, replica);
    };
    expect(await differencesAfter(world, customer, replica, pull)).toEqual([]);
  }

  const topic = `${world.prefix}.changes`;
  const partition = accountPartition(account, 12);
  await allowUncleanLeaders(topic);
  const lookAt = async () => {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
    const found = topics[0]?.partitions.find(({ partitionId }) => partitionId === partition);
    if (found === undefined) throw new Error(`no partition ${partition}`);
    const [low] = (await admin.fetchTopicOffsets(topic)).filter((each) => each.partition === partition);
    return { ...found, end: Number(low?.high ?? 0) };
  };
  const before = await waitFor('the partition to be in step', async () => {
    const found = await lookAt();
    return found.isr.length === 2 && found;
  });
  const [leader, follower] = [before.leader, before.replicas.find((id) => id !== before.leader) ?? -1].map(
    (id) => cluster.nodes.get(id),
  );
  await follower?.kill();
  await waitFor(
    'the leader to go on alone',
    async () => (await lookAt().catch(() => before)).isr.length === 1,
  );
  await touchInvoices(world, account, 'lost');
  const doomed = await waitFor('capture to publish it', async () => {
    const { end } = await lookAt().catch(() => before);
    return end > before.end && end;
  });
  await leader?.kill();
  await follower?.start();
  await waitFor('the other to lead', async () => {
    const found = await lookAt().catch(() => before);
    return found.leader !== before.leader && found.leader >= 0;
  });
  expect((await lookAt()).end).toBeLessThan(doomed);
  await leader?.start();
  await untilInSync(admin, [topic]);

  await using _dispatcher = await startDispatcher();
  const resets = await waitFor('the loss to be told', async () => {
    const text = await customer.client.text('GET', `/events?${at}&limit=1000`);
    const { data } = parseExactJson(text) as { data: FeedEvent[] };
    const told = data.filter(({ type }) => type === 'feed.reset');
    return told.length > 0 && told;
  });
  expect(new Set(resets.map(({ data }) => (data as { reason?: string }).reason))).toEqual(
    new Set(['changes_lost']),
  );

  const second = await createExport(world, customer);
  replica = await loadExport(world, customer, second.id);
  await touchInvoices(world, account, 'after it');
  at = `after_export=${second.id}`;
  const pull = async () => {
    at = await pullFeed(customer, at, replica);
  };
  expect(await differencesAfter(world, customer, replica, pull)).toEqual([]);
});
