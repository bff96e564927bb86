import { SetupError } from '../runtime/errors.ts';
import type { TopicSettings } from './topic-settings.ts';
import type { TopicDeclaration } from './topics.ts';

/** What creates and corrects topics. */
export const TOPICS_COMMAND = 'tandem topics apply';

/** Replicas and sizes as they are for one cluster. */
export interface TopicTargets {
  readonly replicas: number;
  /** A record is acknowledged once this many replicas have it. */
  readonly minInsync: number;
  /** 0: as the cluster has it. */
  readonly maxMessageBytes: number;
}

/** A topic as the cluster has it. */
export interface FoundTopic {
  readonly partitions: number;
  /** Of the partition that has the fewest. */
  readonly replicas: number;
  readonly config: ReadonlyMap<string, string>;
}

/** What corrects a topic. */
export type TopicFix =
  | { readonly kind: 'create' }
  | { readonly kind: 'replicate'; readonly replicas: number }
  | { readonly kind: 'configure'; readonly name: string; readonly value: string };

export interface TopicFinding {
  readonly topic: string;
  /** `fault`: no service may use the topic so. `risk`: it works, but may lose records. */
  readonly severity: 'fault' | 'risk';
  readonly text: string;
  /** Undefined when only an operator can decide. */
  readonly fix: TopicFix | undefined;
}

const MOST_REPLICAS = 3;

/**
 * The numbers to have on a cluster of this many brokers: by default three replicas, of which two must have a record, and fewer
 * where there are fewer brokers.
 *
 * @throws SetupError when more replicas must have a record than there are
 */
export function targetsOf(settings: TopicSettings, brokerCount: number): TopicTargets {
  const replicas = settings.replicationFactor || Math.max(1, Math.min(MOST_REPLICAS, brokerCount));
  const minInsync = settings.minInsyncReplicas || Math.max(1, replicas - 1);
  if (minInsync > replicas) {
    throw new SetupError(
      `KAFKA_MIN_INSYNC_REPLICAS is ${minInsync}, and topics have ${replicas} replicas on ${brokerCount} brokers: lower it, or add brokers`,
    );
  }
  return { replicas, minInsync, maxMessageBytes: settings.maxMessageBytes };
}

/**
 * A line for an operator where the brokers that live now decided on fewer replicas than on a larger cluster. Brokers that are
 * only away for the moment are not known from those that were never there.
 */
export function warnOfFewBrokers({ replicationFactor }: TopicSettings, { replicas }: TopicTargets): string[] {
  if (replicationFactor > 0 || replicas >= MOST_REPLICAS) return [];
  const [has, live] =
    replicas === 1 ? ['1 replica', '1 broker lives'] : [`${replicas} replicas`, `${replicas} brokers live`];
  return [
    `new topics have ${has}, because ${live} now: set KAFKA_REPLICATION_FACTOR to the number that the cluster is to have`,
  ];
}

/** The settings that a topic is created with, beside its partitions and replicas. */
export function configOf(declaration: TopicDeclaration, targets: TopicTargets): Record<string, string> {
  const { cleanup, retentionMs, holdsRows } = declaration;
  return {
    'cleanup.policy': cleanup,
    'min.insync.replicas': String(targets.minInsync),
    ...(cleanup === 'delete' && { 'retention.ms': String(retentionMs) }),
    ...(holdsRows && targets.maxMessageBytes > 0 && { 'max.message.bytes': String(targets.maxMessageBytes) }),
  };
}

/** Compares one topic with its declaration. Safer values than declared are no finding. */
export function compareTopic(
  declaration: TopicDeclaration,
  found: FoundTopic | undefined,
  targets: TopicTargets,
): TopicFinding[] {
  const { name, partitions, minPartitions = partitions, cleanup, retentionMs, holdsRows } = declaration;
  if (found === undefined) {
    const text = `topic ${name} does not exist, or this Kafka user may not see it`;
    return [{ topic: name, severity: 'fault', text, fix: { kind: 'create' } }];
  }
  const findings: TopicFinding[] = [];
  const add = (severity: TopicFinding['severity'], text: string, fix?: TopicFix) =>
    findings.push({ topic: name, severity, text: `topic ${name} ${text}`, fix });
  const configure = (setting: string, value: string | number): TopicFix => ({
    kind: 'configure',
    name: setting,
    value: String(value),
  });
  const get = (setting: string) => found.config.get(setting);
  const getNumber = (setting: string) => Number(get(setting) ?? Number.NaN);

  if (found.partitions < minPartitions) {
    add(
      'fault',
      `has ${found.partitions} partitions, and ${minPartitions} are needed: delete it while nothing is in it, or set another TOPIC_PREFIX`,
    );
  }
  const policy = get('cleanup.policy');
  if (policy !== undefined && policy !== cleanup) {
    add(
      'fault',
      `has cleanup.policy=${policy}, and ${cleanup} is needed`,
      configure('cleanup.policy', cleanup),
    );
  }
  const minInsync = getNumber('min.insync.replicas');
  if (found.replicas < targets.replicas) {
    add('risk', `has ${found.replicas} of ${targets.replicas} replicas`, {
      kind: 'replicate',
      replicas: targets.replicas,
    });
  }
  if (minInsync > Math.max(found.replicas, targets.replicas)) {
    add(
      'fault',
      `has min.insync.replicas=${minInsync} and ${found.replicas} replicas, so it accepts no record`,
      configure('min.insync.replicas', targets.minInsync),
    );
  } else if (minInsync < targets.minInsync) {
    add(
      'risk',
      `has min.insync.replicas=${minInsync}, and ${targets.minInsync} is wanted`,
      configure('min.insync.replicas', targets.minInsync),
    );
  }
  const retention = getNumber('retention.ms');
  if (cleanup === 'delete' && retention >= 0 && retention < retentionMs) {
    add(
      'risk',
      `has retention.ms=${retention}, and ${retentionMs} is wanted: a service that stands still for longer loses records`,
      configure('retention.ms', retentionMs),
    );
  }
  const retentionBytes = getNumber('retention.bytes');
  if (cleanup === 'delete' && retentionBytes >= 0) {
    add(
      'risk',
      `has retention.bytes=${retentionBytes}: a service that falls behind by more loses records`,
      configure('retention.bytes', -1),
    );
  }
  if (get('unclean.leader.election.enable') === 'true') {
    add(
      'risk',
      'has unclean.leader.election.enable=true: a replica that lacks records may become the leader',
      configure('unclean.leader.election.enable', 'false'),
    );
  }
  const maxBytes = getNumber('max.message.bytes');
  if (holdsRows && maxBytes < targets.maxMessageBytes) {
    add(
      'risk',
      `has max.message.bytes=${maxBytes}, and KAFKA_MAX_MESSAGE_BYTES is ${targets.maxMessageBytes}`,
      configure('max.message.bytes', targets.maxMessageBytes),
    );
  }
  return findings;
}

/** A line for an operator, with the command where it corrects the topic. */
export function showTopicFinding({ text, fix }: TopicFinding): string {
  return fix === undefined ? text : `${text}: run \`${TOPICS_COMMAND}\``;
}
