import { loadCatalog } from '../../../shared/catalog/load-catalog.ts';
import { createKafka } from '../../../shared/kafka/client.ts';
import { readKafkaConfig } from '../../../shared/kafka/client-config.ts';
import { connectAdmin } from '../../../shared/kafka/connect-admin.ts';
import { readTargets } from '../../../shared/kafka/ensure-topics.ts';
import type { KafkaAdmin } from '../../../shared/kafka/kafka-client.ts';
import {
  configOf,
  showTopicFinding,
  type TopicTargets,
  warnOfFewBrokers,
} from '../../../shared/kafka/topic-plan.ts';
import { readTopicSettings, type TopicSettings } from '../../../shared/kafka/topic-settings.ts';
import { type TopicDeclaration, topicsOf } from '../../../shared/kafka/topics.ts';
import { type Env, envReader } from '../../../shared/runtime/env.ts';
import { findRunningTandem } from '../../local/running-tandem.ts';
import { SAMPLE_CATALOG } from '../../local/service-env.ts';
import type { Command, CommandContext } from '../command.ts';
import { fixTopics, reviewLedTopics, reviewTopics, type TopicReview } from '../topics/apply-topics.ts';

const WHERE = `Uses the Tandem that runs here, or else KAFKA_BROKERS with the settings beside it, TOPIC_PREFIX, CATALOG,
KAFKA_REPLICATION_FACTOR, KAFKA_MIN_INSYNC_REPLICAS and KAFKA_MAX_MESSAGE_BYTES.`;

/** For the operator of the cluster. Reads only. */
export const topicsPlanCommand: Command = {
  name: 'topics plan',
  summary: 'show which Kafka topics are needed, and what differs from them',
  notes: `Exits 0 when the topics are as declared, 1 when something differs, 2 when the cluster cannot be used.
${WHERE}`,
  declare(program, perform) {
    program
      .option('--json', 'print one JSON object instead of lines')
      .action(({ json }: { json?: true }) => perform((context) => showPlan(context, json === true)));
  },
};

/** Once before the services start, and again after the catalog grew. For services with `KAFKA_CREATE_TOPICS=false`. */
export const topicsApplyCommand: Command = {
  name: 'topics apply',
  summary: 'create the Kafka topics, and correct those that differ',
  notes: `Needs the rights to create and alter topics. Safe to repeat, also while services run. It deletes nothing, and
never lowers replicas, retention or sizes. Waits up to ten minutes for partitions whose brokers are away. Exits 1 when
something is left that only you can decide.
${WHERE}`,
  declare(program, perform) {
    program.action(() => perform(apply));
  },
};

async function showPlan(context: CommandContext, asJson: boolean): Promise<number> {
  return withTopics(context, async ({ admin, declarations, targets }) => {
    const reviews = await reviewTopics(admin, declarations, targets);
    if (asJson) context.say(JSON.stringify({ topics: reviews.map((review) => toJson(review, targets)) }));
    else for (const line of describe(reviews, targets)) context.say(line);
    return reviews.some(({ findings }) => findings.length > 0) ? 1 : 0;
  });
}

async function apply(context: CommandContext): Promise<number> {
  const { say, signal } = context;
  return withTopics(context, async ({ admin, declarations, targets, settings }) => {
    const options = { onFixed: say, signal };
    const reviews = await reviewLedTopics(admin, declarations, targets, options);
    await fixTopics(admin, reviews, targets, options);
    const left = (await reviewTopics(admin, declarations, targets)).flatMap(({ findings }) => findings);
    for (const finding of left) say(`left         ${showTopicFinding(finding)}`);
    say(
      left.length === 0
        ? `the ${declarations.length} topics are as declared`
        : `${left.length} findings are left`,
    );
    for (const line of warnOfFewBrokers(settings, targets)) say(`warning      ${line}`);
    return left.length === 0 ? 0 : 1;
  });
}

interface TopicWork {
  readonly admin: KafkaAdmin;
  readonly declarations: readonly TopicDeclaration[];
  readonly targets: TopicTargets;
  readonly settings: TopicSettings;
}

async function withTopics<T>(
  { env, home, log }: CommandContext,
  work: (topics: TopicWork) => Promise<T>,
): Promise<T> {
  const set = Object.fromEntries(Object.entries(env).filter(([, value]) => value?.trim()));
  const all: Env = { ...findRunningTandem(home)?.parts, ...set };
  const read = envReader(all);
  const config = read.done({
    kafka: readKafkaConfig(read),
    settings: readTopicSettings(read),
    prefix: read.string('TOPIC_PREFIX', 'tandem'),
    catalogPath: read.string('CATALOG', SAMPLE_CATALOG),
  });
  const { declarations } = topicsOf(config.prefix, await loadCatalog(config.catalogPath));
  await using cleanup = new AsyncDisposableStack();
  const kafka = createKafka(config.kafka, 'tandem-topics', log);
  const admin = cleanup.adopt(await connectAdmin(kafka, config.kafka), (one) => one.disconnect());
  const targets = await readTargets(admin, config.settings);
  return await work({ admin, declarations, targets, settings: config.settings });
}

function toJson({ declaration, found, findings }: TopicReview, targets: TopicTargets): unknown {
  return {
    name: declaration.name,
    wanted: {
      partitions: declaration.partitions,
      replicas: targets.replicas,
      config: configOf(declaration, targets),
    },
    found:
      found === undefined
        ? null
        : { partitions: found.partitions, replicas: found.replicas, config: settingsOf(found.config) },
    findings: findings.map(({ severity, text, fix }) => ({
      severity,
      text,
      is_corrected_by_apply: fix !== undefined,
    })),
  };
}

/** Those that matter to Tandem. */
const SHOWN = [
  'cleanup.policy',
  'min.insync.replicas',
  'retention.ms',
  'retention.bytes',
  'max.message.bytes',
  'unclean.leader.election.enable',
];

function settingsOf(config: ReadonlyMap<string, string>): Record<string, string> {
  return Object.fromEntries(
    SHOWN.flatMap((name) => (config.has(name) ? [[name, config.get(name) ?? '']] : [])),
  );
}

function describe(reviews: readonly TopicReview[], targets: TopicTargets): string[] {
  const differing = reviews.filter(({ findings }) => findings.length > 0).length;
  return [
    ...reviews.flatMap(({ declaration, found, leaderless, findings }) => {
      if (found === undefined && leaderless.length === 0) {
        const settings = Object.entries(configOf(declaration, targets)).map(
          ([name, value]) => `${name}=${value}`,
        );
        const { name, partitions } = declaration;
        return [
          `create       ${name}: ${partitions} partitions, ${targets.replicas} replicas, ${settings.join(', ')}`,
        ];
      }
      if (findings.length > 0)
        return findings.map((one) => `${one.severity.padEnd(12)} ${showTopicFinding(one)}`);
      if (found === undefined) return [];
      return [`as declared  ${declaration.name}: ${found.partitions} partitions, ${found.replicas} replicas`];
    }),
    differing === 0
      ? `the ${reviews.length} topics are as declared`
      : `${differing} of ${reviews.length} topics differ`,
  ];
}
