import { setTimeout as delay } from 'node:timers/promises';
import { createTopics, readTopics } from '../../../shared/kafka/ensure-topics.ts';
import { type KafkaAdmin, TOPIC_RESOURCE } from '../../../shared/kafka/kafka-client.ts';
import { type ClusterPartition, few, readPartitions } from '../../../shared/kafka/read-partitions.ts';
import {
  compareTopic,
  type FoundTopic,
  type TopicFinding,
  type TopicTargets,
} from '../../../shared/kafka/topic-plan.ts';
import type { TopicDeclaration } from '../../../shared/kafka/topics.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { spreadReplicas } from './spread-replicas.ts';

/** One topic: how it is declared, how the cluster has it, and what differs. */
export interface TopicReview {
  readonly declaration: TopicDeclaration;
  /** Undefined: it does not exist, or cannot be read because a partition has no leader. */
  readonly found: FoundTopic | undefined;
  /** Partitions without a leader, by name. */
  readonly leaderless: readonly string[];
  readonly findings: readonly TopicFinding[];
}

/** What a correction says, and what ends it. */
export interface FixOptions {
  /** Gets a line after each correction, and before each wait. */
  readonly onFixed: (line: string) => void;
  readonly signal: AbortSignal;
}

/** @throws SetupError when this user may not read a topic's settings */
export async function reviewTopics(
  admin: KafkaAdmin,
  declarations: readonly TopicDeclaration[],
  targets: TopicTargets,
): Promise<TopicReview[]> {
  const partitions = await readPartitions(admin);
  const leaderlessOf = (name: string) =>
    (partitions.get(name) ?? []).filter(({ leader }) => leader < 0).map(({ partition }) => partition);
  const led = declarations.filter(({ name }) => partitions.has(name) && leaderlessOf(name).length === 0);
  const found = await readTopics(
    admin,
    led.map(({ name }) => name),
  );
  return declarations.map((declaration) => {
    const { name } = declaration;
    const leaderless = leaderlessOf(name);
    const topic = found.get(name);
    const text = `topic ${name} has no leader for ${few(leaderless)}: ${START_BROKERS}`;
    const findings: TopicFinding[] =
      leaderless.length > 0
        ? [{ topic: name, severity: 'fault', text, fix: undefined }]
        : compareTopic(declaration, topic, targets);
    return { declaration, found: topic, leaderless, findings };
  });
}

/** A broker that restarts has its partitions back within minutes. */
const LEADER_LIMIT_MS = 600_000;
const LEADER_POLL_MS = 500;

/** As `reviewTopics`, once every topic that exists has its leaders. @throws SetupError when one has none after ten minutes */
export async function reviewLedTopics(
  admin: KafkaAdmin,
  declarations: readonly TopicDeclaration[],
  targets: TopicTargets,
  options: FixOptions,
): Promise<TopicReview[]> {
  let reviews: TopicReview[] = [];
  await awaitPartitions('a leader', options, async () => {
    reviews = await reviewTopics(admin, declarations, targets);
    return reviews.flatMap(({ leaderless }) => leaderless);
  });
  return reviews;
}

/** @param look finds the partitions that are waited for */
async function awaitPartitions(
  what: string,
  { onFixed, signal }: FixOptions,
  look: () => Promise<readonly string[]>,
): Promise<void> {
  let said = '';
  for (const deadlineAtMs = Date.now() + LEADER_LIMIT_MS; ; ) {
    const lacking = few(await look());
    if (lacking === '') return;
    if (Date.now() > deadlineAtMs) {
      throw new SetupError(`${lacking} still lacks ${what}: ${START_BROKERS}, and run this again`);
    }
    if (lacking !== said) onFixed(`waits        for ${what} of ${lacking}: ${START_BROKERS}`);
    said = lacking;
    await delay(LEADER_POLL_MS, undefined, { signal });
  }
}

const START_BROKERS = 'start the brokers that are away';

const isInSync = ({ isr, replicas }: ClusterPartition) => isr.length >= replicas.length;

const REASSIGNMENT_POLL_MS = 250;

/** A replica copies all that its topic holds. The cluster goes on with it when this is over. */
const REASSIGNMENT_LIMIT_MS = 600_000;

/** Replicas that have been copied are in sync within moments. */
const IN_SYNC_LIMIT_MS = 15_000;

/** While more than are in sync must have a record, a partition accepts none. */
const MIN_INSYNC = 'min.insync.replicas';

/**
 * Creates topics and corrects what can be corrected without a loss: replicas first, so that the number of those that must have
 * a record is never raised above those that are in sync.
 *
 * @throws SetupError when a new topic still lacks a leader or replicas after ten minutes
 */
export async function fixTopics(
  admin: KafkaAdmin,
  reviews: readonly TopicReview[],
  targets: TopicTargets,
  options: FixOptions,
): Promise<void> {
  const { onFixed, signal } = options;
  const missing = reviews
    .filter(({ found, leaderless }) => found === undefined && leaderless.length === 0)
    .map(({ declaration }) => declaration);
  await createTopics(admin, missing, targets);
  for (const { name } of missing) onFixed(`created      ${name}`);
  // A service that starts next finds topics that take records, also where a broker goes away at this moment.
  await awaitPartitions('a leader and all replicas', options, async () => {
    const partitions = missing.length === 0 ? new Map() : await readPartitions(admin);
    return missing.flatMap(({ name }) => {
      const own: readonly ClusterPartition[] | undefined = partitions.get(name);
      const lacking = own?.filter((each) => each.leader < 0 || !isInSync(each));
      return lacking?.map(({ partition }) => partition) ?? [name];
    });
  });
  const there = reviews.filter(({ found }) => found !== undefined);
  const present = there.map(({ declaration }) => declaration.name);
  const thin = there.filter(({ findings }) => findings.some(({ fix }) => fix?.kind === 'replicate'));
  if (thin.length > 0) {
    const names = thin.map(({ declaration }) => declaration.name);
    await addReplicas(admin, names, targets.replicas);
    await awaitReassignments(admin, names, signal);
    for (const name of names) onFixed(`replicated   ${name}: ${targets.replicas} replicas`);
  }
  // Also those that an earlier run has begun: replicas that are still being copied count already.
  await awaitReassignments(admin, present, signal);
  const inSync = await readInSync(admin, present, signal);
  for (const { declaration, found, findings } of there) {
    const wanted = findings.flatMap(({ fix }) => (fix?.kind === 'configure' ? [fix] : []));
    const least = inSync.get(declaration.name) ?? 0;
    const mustWait = ({ name, value }: { name: string; value: string }) =>
      name === MIN_INSYNC && Number(value) > Math.max(least, Number(found?.config.get(name)));
    for (const { name, value } of wanted.filter(mustWait)) {
      const replicas = least === 1 ? '1 replica' : `${least} replicas`;
      onFixed(
        `waits        ${declaration.name}: ${name}=${value}, because a partition has ${replicas} in sync`,
      );
    }
    const changes = wanted.filter((change) => !mustWait(change));
    if (changes.length === 0) continue;
    await configureTopic(admin, declaration.name, changes);
    const text = changes.map(({ name, value }) => `${name}=${value}`).join(', ');
    onFixed(`configured   ${declaration.name}: ${text}`);
  }
}

async function addReplicas(admin: KafkaAdmin, names: readonly string[], count: number): Promise<void> {
  const { brokers } = await admin.describeCluster();
  const { topics } = await admin.fetchTopicMetadata({ topics: [...names] });
  const spread = spreadReplicas(
    topics,
    brokers.map(({ nodeId }) => nodeId),
    count,
  );
  await admin.alterPartitionReassignments({ topics: spread });
}

/** @throws Error when replicas of these topics are still being copied after the limit */
async function awaitReassignments(
  admin: KafkaAdmin,
  names: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  for (const deadlineAtMs = Date.now() + REASSIGNMENT_LIMIT_MS; ; ) {
    const left = await admin.listPartitionReassignments({});
    const ours = left.topics.filter(({ topic }) => names.includes(topic));
    if (ours.length === 0) return;
    if (Date.now() > deadlineAtMs) {
      throw new Error(`replicas of ${ours.map(({ topic }) => topic).join(', ')} are still being copied`);
    }
    await delay(REASSIGNMENT_POLL_MS, undefined, { signal });
  }
}

/**
 * Of each topic, the replicas in sync of the partition that has the fewest. Brokers know of new ones a moment after these have
 * been copied; one whose broker is away is not waited for longer.
 */
async function readInSync(
  admin: KafkaAdmin,
  names: readonly string[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, number>> {
  if (names.length === 0) return new Map();
  for (const deadlineAtMs = Date.now() + IN_SYNC_LIMIT_MS; ; ) {
    const { topics } = await admin.fetchTopicMetadata({ topics: [...names] });
    const areIn = topics.every(({ partitions }) =>
      partitions.every(({ isr, replicas }) => isr.length >= replicas.length),
    );
    if (areIn || Date.now() > deadlineAtMs) {
      return new Map(
        topics.map(({ name, partitions }) => [name, Math.min(...partitions.map(({ isr }) => isr.length))]),
      );
    }
    await delay(REASSIGNMENT_POLL_MS, undefined, { signal });
  }
}

/** The request replaces all settings of the topic, so those that it has beside these are sent with them. */
async function configureTopic(
  admin: KafkaAdmin,
  name: string,
  changes: readonly { readonly name: string; readonly value: string }[],
): Promise<void> {
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type: TOPIC_RESOURCE, name }],
  });
  const entries = new Map<string, string>();
  for (const entry of resources[0]?.configEntries ?? []) {
    if (isOwnSetting(entry)) entries.set(entry.configName, entry.configValue);
  }
  for (const change of changes) entries.set(change.name, change.value);
  await admin.alterConfigs({
    validateOnly: false,
    resources: [
      {
        type: TOPIC_RESOURCE,
        name,
        configEntries: [...entries].map(([setting, value]) => ({ name: setting, value })),
      },
    ],
  });
}

/** Kafka's number of a setting that the topic itself has, rather than its brokers. */
const TOPIC_CONFIG_SOURCE = 1;

function isOwnSetting({ configSource, isDefault }: { configSource: number; isDefault: boolean }): boolean {
  return !isDefault && configSource === TOPIC_CONFIG_SOURCE;
}
