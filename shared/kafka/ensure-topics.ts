import { SetupError } from '../runtime/errors.ts';
import type { Log } from '../runtime/log.ts';
import { sleep } from '../runtime/sleep.ts';
import { type KafkaAdmin, TOPIC_RESOURCE } from './kafka-client.ts';
import {
  compareTopic,
  configOf,
  type FoundTopic,
  showTopicFinding,
  TOPICS_COMMAND,
  type TopicTargets,
  targetsOf,
} from './topic-plan.ts';
import { CLUSTER_DECIDES, type TopicSettings } from './topic-settings.ts';
import type { TopicDeclaration } from './topics.ts';

export interface EnsureOptions {
  readonly settings?: TopicSettings;
  /** Gets a warning for each topic that works but may lose records. */
  readonly log?: Log;
}

/**
 * Creates the topics that are missing, unless the settings forbid it, and checks those that are there. Safe to call from many
 * services at once.
 *
 * @returns the number of partitions that each topic has
 * @throws SetupError when a topic is missing, has fewer partitions or another cleanup policy than declared (keys would move
 *   between partitions, or rows would be compacted away), or when the broker forbids what this needs
 */
export async function ensureTopics(
  admin: KafkaAdmin,
  declarations: readonly TopicDeclaration[],
  { settings = CLUSTER_DECIDES, log }: EnsureOptions = {},
): Promise<ReadonlyMap<string, number>> {
  const targets = await readTargets(admin, settings);
  const existing = new Set(await admin.listTopics());
  const missing = declarations.filter(({ name }) => !existing.has(name));
  if (settings.createTopics) await createTopics(admin, missing, targets);
  const there = settings.createTopics ? declarations : declarations.filter(({ name }) => existing.has(name));
  const found = await readTopics(
    admin,
    there.map(({ name }) => name),
  );
  const findings = declarations.flatMap((each) => compareTopic(each, found.get(each.name), targets));
  const faults = findings.filter(({ severity }) => severity === 'fault');
  if (faults.length > 0) throw new SetupError('the Kafka topics do not fit', faults.map(showTopicFinding));
  if (log !== undefined && findings.length > 0) {
    log.warn('topics.at_risk', { findings: findings.map(({ text }) => text), remedy: TOPICS_COMMAND });
  }
  return new Map([...found].map(([name, { partitions }]) => [name, partitions]));
}

/** @throws SetupError as `targetsOf` does */
export async function readTargets(admin: KafkaAdmin, settings: TopicSettings): Promise<TopicTargets> {
  const { brokers } = await admin.describeCluster();
  return targetsOf(settings, brokers.length);
}

/** What a broker says about one topic that it did not create. */
const REFUSALS: Readonly<Record<string, (topic: string, targets: TopicTargets) => string>> = {
  TOPIC_AUTHORIZATION_FAILED: forbidden,
  CLUSTER_AUTHORIZATION_FAILED: forbidden,
  INVALID_REPLICATION_FACTOR: (topic, { replicas }) =>
    `topic ${topic} cannot have ${replicas} replicas: the cluster has fewer brokers. Set KAFKA_REPLICATION_FACTOR`,
  POLICY_VIOLATION: (topic) =>
    `the cluster's policy refuses topic ${topic}: create it there with the settings of \`tandem topics plan\``,
  INVALID_CONFIG: (topic) => `the broker refuses a setting of topic ${topic}: see \`tandem topics plan\``,
};

function forbidden(topic: string): string {
  return `this Kafka user may not create topic ${topic}: run \`${TOPICS_COMMAND}\` as a user that may, and set KAFKA_CREATE_TOPICS=false for the services`;
}

/**
 * Creates topics. One that another process has created by now is left as it is.
 *
 * @throws SetupError when the broker refuses, with what to do
 */
export async function createTopics(
  admin: KafkaAdmin,
  declarations: readonly TopicDeclaration[],
  targets: TopicTargets,
): Promise<void> {
  if (declarations.length === 0) return;
  try {
    await admin.createTopics({
      // The client's own wait gives up where a broker has not heard of the new topic yet.
      waitForLeaders: false,
      topics: declarations.map((declaration) => ({
        topic: declaration.name,
        numPartitions: declaration.partitions,
        replicationFactor: targets.replicas,
        configEntries: Object.entries(configOf(declaration, targets)).map(([name, value]) => ({
          name,
          value,
        })),
      })),
    });
  } catch (error) {
    const errors = refusalsIn(error).filter(({ type }) => type !== 'TOPIC_ALREADY_EXISTS');
    if (errors.length === 0 && refusalsIn(error).length > 0) return;
    const known = errors.flatMap(({ type, topic }) => REFUSALS[type]?.(topic, targets) ?? []);
    if (known.length === 0 || known.length < errors.length) throw error;
    throw new SetupError('the Kafka topics cannot be created', known);
  }
}

/** kafkajs gathers one error a topic. */
function refusalsIn(error: unknown): { type: string; topic: string }[] {
  const { errors } = error as { errors?: unknown };
  if (!Array.isArray(errors)) return [];
  return errors.map(({ type, topic }) => ({ type: String(type), topic: String(topic) }));
}

/**
 * Topics that exist, by name. One that is new may take a moment to be known to each broker.
 *
 * @throws SetupError when this user may not read a topic's settings
 */
export async function readTopics(
  admin: KafkaAdmin,
  names: readonly string[],
): Promise<ReadonlyMap<string, FoundTopic>> {
  if (names.length === 0) return new Map();
  return awaitNewTopics(async () => {
    const { topics } = await admin.fetchTopicMetadata({ topics: [...names] });
    const configs = await readConfigs(admin, names);
    return new Map(
      topics.map(({ name, partitions }): [string, FoundTopic] => [
        name,
        {
          partitions: partitions.length,
          replicas: Math.min(...partitions.map(({ replicas }) => replicas.length)),
          config: configs.get(name) ?? new Map(),
        },
      ]),
    );
  });
}

async function readConfigs(
  admin: KafkaAdmin,
  names: readonly string[],
): Promise<ReadonlyMap<string, ReadonlyMap<string, string>>> {
  try {
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: names.map((name) => ({ type: TOPIC_RESOURCE, name })),
    });
    return new Map(
      resources.map(({ resourceName, configEntries }) => [
        resourceName,
        new Map(configEntries.map(({ configName, configValue }) => [configName, configValue])),
      ]),
    );
  } catch (error) {
    if ((error as { type?: unknown }).type !== 'TOPIC_AUTHORIZATION_FAILED') throw error;
    throw new SetupError(
      'this Kafka user may not read the settings of the topics: grant it DescribeConfigs on them',
    );
  }
}

const TOPIC_WAIT_MS = 30_000;
const TOPIC_POLL_MS = 50;

/** Right after a topic is made, by us or by another service, brokers may not know it or have no leader for it yet. */
async function awaitNewTopics<T>(look: () => Promise<T>): Promise<T> {
  for (const deadlineAtMs = Date.now() + TOPIC_WAIT_MS; ; ) {
    try {
      return await look();
    } catch (error) {
      const type = error instanceof Error && 'type' in error ? error.type : undefined;
      const isNew = type === 'UNKNOWN_TOPIC_OR_PARTITION' || type === 'LEADER_NOT_AVAILABLE';
      if (!isNew || Date.now() > deadlineAtMs) throw error;
      await sleep(TOPIC_POLL_MS);
    }
  }
}
