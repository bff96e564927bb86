import kafkajs, { type Admin } from 'kafkajs';
import type { Catalog } from '../domain/catalog.ts';
import { SetupError } from '../runtime/errors.ts';
import { sleep } from '../runtime/sleep.ts';

// Node can't see this name among the package's exports, which are CommonJS; only the whole of them.
const { ConfigResourceTypes } = kafkajs;

const DAY_MS = 24 * 60 * 60 * 1000;

/** A topic as Tandem needs it. `retentionMs` is ignored for compacted topics. */
export interface TopicDeclaration {
  name: string;
  /** That it is made with. */
  partitions: number;
  /** With which it is good enough; by default as many. */
  minPartitions?: number;
  cleanup: 'delete' | 'compact';
  retentionMs: number;
}

export interface Topics {
  readonly commands: string;
  readonly jobs: string;
  readonly changes: string;
  /** How far capture has come, one key per slot; see services/capture. */
  readonly capture: string;
  rows(resource: string): string;
  readonly declarations: readonly TopicDeclaration[];
}

const MAX_ROWS_PARTITIONS = 6;

/**
 * Of all rows topics together. Each costs the brokers, and every fetch of a writer, the same with rows and without. Where there
 * are many resources, writers share these rather than the partitions of one.
 */
const ALL_ROWS_PARTITIONS = 120;

/** Every topic name in one place. `prefix` is `TOPIC_PREFIX`, by default `tandem`. */
export function topicsOf(prefix: string, catalog: Catalog): Topics {
  const rows = (resource: string) => `${prefix}.rows.${resource}`;
  const commands = `${prefix}.commands`;
  const jobs = `${prefix}.jobs`;
  const changes = `${prefix}.changes`;
  const capture = `${prefix}.capture`;
  const share = Math.floor(ALL_ROWS_PARTITIONS / catalog.resources.length);
  const rowsPartitions = Math.max(1, Math.min(MAX_ROWS_PARTITIONS, share));
  return {
    commands,
    jobs,
    changes,
    capture,
    rows,
    declarations: [
      { name: commands, partitions: 6, cleanup: 'delete', retentionMs: 7 * DAY_MS },
      { name: jobs, partitions: 6, cleanup: 'delete', retentionMs: 7 * DAY_MS },
      { name: changes, partitions: 12, cleanup: 'delete', retentionMs: 30 * DAY_MS },
      { name: capture, partitions: 1, cleanup: 'compact', retentionMs: DAY_MS },
      ...catalog.resources.map(
        (resource): TopicDeclaration => ({
          name: rows(resource.name),
          partitions: rowsPartitions,
          // A chunk may go to any partition. So topics stay as they are when the catalog grows or shrinks, or somebody adds partitions.
          minPartitions: 1,
          cleanup: 'delete',
          retentionMs: 3 * DAY_MS,
        }),
      ),
    ],
  };
}

/**
 * Creates the topics that are missing and checks those that are there. Safe to call from many services at once.
 *
 * @returns the number of partitions that each topic has
 * @throws SetupError when a topic has fewer partitions or another cleanup policy than declared: keys would move
 *   between partitions, or rows would be compacted away.
 */
export async function ensureTopics(
  admin: Admin,
  declarations: readonly TopicDeclaration[],
  replicationFactor = -1,
): Promise<ReadonlyMap<string, number>> {
  const existing = new Set(await admin.listTopics());
  const missing = declarations.filter(({ name }) => !existing.has(name));
  if (missing.length > 0) {
    await admin.createTopics({
      // The client's own wait gives up where a broker has not heard of the new topic yet.
      waitForLeaders: false,
      topics: missing.map(({ name, partitions, cleanup, retentionMs }) => ({
        topic: name,
        numPartitions: partitions,
        replicationFactor,
        configEntries: [
          { name: 'cleanup.policy', value: cleanup },
          ...(cleanup === 'delete' ? [{ name: 'retention.ms', value: String(retentionMs) }] : []),
        ],
      })),
    });
  }
  const { partitions, findings } = await awaitTopics(() => lookAtTopics(admin, declarations));
  if (findings.length > 0) throw new SetupError('the Kafka topics do not fit', findings);
  return partitions;
}

const TOPIC_WAIT_MS = 30_000;
const TOPIC_POLL_MS = 50;

/** Right after a topic is made, by us or by another service, brokers may not know it or have no leader for it yet. */
async function awaitTopics<T>(look: () => Promise<T>): Promise<T> {
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

async function lookAtTopics(
  admin: Admin,
  declarations: readonly TopicDeclaration[],
): Promise<{ partitions: ReadonlyMap<string, number>; findings: readonly string[] }> {
  const names = declarations.map(({ name }) => name);
  const { topics } = await admin.fetchTopicMetadata({ topics: names });
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: names.map((name) => ({
      type: ConfigResourceTypes.TOPIC,
      name,
      configNames: ['cleanup.policy'],
    })),
  });
  const counts = new Map(topics.map(({ name, partitions }) => [name, partitions.length]));
  const findings = declarations.flatMap(({ name, partitions, minPartitions = partitions, cleanup }) => {
    const found: string[] = [];
    const actual = counts.get(name) ?? 0;
    if (actual < minPartitions) {
      found.push(
        `topic ${name} has ${actual} partitions, ${minPartitions} are needed: delete it while nothing is in it, ` +
          'or set another TOPIC_PREFIX',
      );
    }
    const policy = resources
      .find((resource) => resource.resourceName === name)
      ?.configEntries.find((entry) => entry.configName === 'cleanup.policy')?.configValue;
    if (policy !== undefined && policy !== cleanup) {
      found.push(
        `topic ${name} has cleanup.policy=${policy}, needed is ${cleanup}: ` +
          `kafka-configs.sh --alter --entity-type topics --entity-name ${name} --add-config cleanup.policy=${cleanup}`,
      );
    }
    return found;
  });
  return { partitions: counts, findings };
}
