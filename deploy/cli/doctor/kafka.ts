import net from 'node:net';
import type { Admin } from 'kafkajs';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import { createKafka, type KafkaConfig } from '../../../shared/kafka/client.ts';
import { connectAdmin } from '../../../shared/kafka/connect-admin.ts';
import { readTargets, readTopics } from '../../../shared/kafka/ensure-topics.ts';
import { readApiVersions } from '../../../shared/kafka/internals/broker-versions.ts';
import { tokenFetcher } from '../../../shared/kafka/login/login.ts';
import { compareTopic, TOPICS_COMMAND, type TopicFinding } from '../../../shared/kafka/topic-plan.ts';
import type { TopicSettings } from '../../../shared/kafka/topic-settings.ts';
import { type TopicDeclaration, topicsOf } from '../../../shared/kafka/topics.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { type Area, close, type Found, failure, messageOf, ok, warning } from './area.ts';
import { describeVersions } from './kafka-version.ts';

export interface KafkaToExamine {
  readonly config: KafkaConfig;
  readonly settings: TopicSettings;
  readonly prefix: string;
  /** Undefined when it cannot be read: what depends on it is left out. */
  readonly catalog: Catalog | undefined;
}

/** Reads only: topics are made by services, and nothing is produced. */
export async function examineKafka(
  area: Area,
  { config, settings, prefix, catalog }: KafkaToExamine,
): Promise<void> {
  await using cleanup = new AsyncDisposableStack();
  await area.attempt(
    'brokers',
    'correct KAFKA_BROKERS',
    () => Promise.all(config.brokers.map((broker) => openPort(broker, area.limitMs / 2))),
    (results) => describeBrokers(config.brokers, results),
  );
  const fetchToken = config.sasl === undefined ? undefined : tokenFetcher(config.sasl);
  if (fetchToken !== undefined) {
    const token = await area.attempt(
      'token',
      'correct the settings that the message names',
      fetchToken,
      (one) => ok(one.lifeMs === 0 ? 'a token of unknown life' : `a token for ${one.lifeMs / 1_000} s`),
    );
    if (token === undefined) return;
  }
  const kafka = createKafka(config, 'tandem-doctor', silentLog);
  const connected = await area.attempt(
    'connect',
    connectFix(config),
    async () => {
      const admin = await connectAdmin(kafka, config);
      cleanup.defer(() => close(admin.disconnect()));
      return { admin, cluster: await admin.describeCluster() };
    },
    ({ cluster: { brokers, controller } }): Found =>
      controller === null
        ? failure(`${brokers.length} brokers, and no controller`, 'check the brokers and their quorum')
        : ok(`${brokers.length} brokers respond`),
  );
  if (connected === undefined) return;
  const { admin, cluster } = connected;
  const advertised = cluster.brokers.map(({ host, port }) => `${host}:${port}`);
  await area.attempt(
    'advertised brokers',
    'set advertised.listeners of each broker to an address that the services reach',
    () => Promise.all(advertised.map((broker) => openPort(broker, area.limitMs / 2))),
    (results) => describeBrokers(advertised, results),
  );
  const nodeIds = cluster.brokers.map(({ nodeId }) => nodeId);
  await area.attempt(
    'version',
    'check the brokers, which respond to nothing else',
    () => readApiVersions(kafka, nodeIds),
    describeVersions,
  );
  if (catalog === undefined) return;
  const { declarations, changes } = topicsOf(prefix, catalog);
  await area.attempt(
    'topics',
    'let the user describe the topics and their configuration (TOPIC_PREFIX)',
    () => examineTopics(admin, declarations, settings, changes),
    (found) => describeTopics(declarations.length, settings, found),
  );
}

function connectFix({ ssl, sasl }: KafkaConfig): (error: unknown) => string {
  return (error) => {
    if (error instanceof SetupError) return 'correct the settings that the message names';
    const login = sasl === undefined ? 'no login' : `login by ${sasl.mechanism}`;
    return `check KAFKA_BROKERS and the listener on that port: this client uses ${ssl ? 'TLS' : 'no TLS'} (KAFKA_SSL) and ${login}`;
  };
}

/** Undefined when something listens there; otherwise why not. */
function openPort(broker: string, limitMs: number): Promise<string | undefined> {
  const [, host, port] = /^(.*):(\d+)$/.exec(broker) ?? [];
  if (host === undefined) return Promise.resolve('it is not host:port');
  return new Promise((resolve) => {
    const socket = net.connect({ host: host.replace(/^\[(.*)\]$/, '$1'), port: Number(port) });
    const end = (problem?: string) => {
      socket.destroy();
      resolve(problem);
    };
    socket.setTimeout(limitMs, () => end(`no response in ${limitMs / 1_000} s`));
    socket.once('connect', () => end());
    socket.once('error', (error) => end(messageOf(error)));
  });
}

function describeBrokers(
  brokers: readonly string[],
  results: readonly (string | undefined)[],
): Found | Found[] {
  const silent = brokers.flatMap((broker, index) => {
    const problem = results[index];
    return problem === undefined ? [] : [`${broker}: ${problem}`];
  });
  if (silent.length === 0 && brokers.length > 0)
    return ok(`${brokers.length} of ${brokers.length} accept connections`);
  const fix =
    'start these brokers, or correct their addresses; check firewalls between this machine and them';
  const found = silent.length === brokers.length ? failure : warning;
  return silent.map((line) => found(line, fix));
}

interface ExaminedTopics {
  readonly findings: readonly TopicFinding[];
  /** Partitions without a leader, and with copies that are behind. */
  readonly leaderless: readonly string[];
  readonly behind: readonly string[];
  readonly missing: readonly string[];
  /** Of a change. Undefined before the topic exists. */
  readonly maxMessageBytes: number | undefined;
}

async function examineTopics(
  admin: Admin,
  declarations: readonly TopicDeclaration[],
  settings: TopicSettings,
  changes: string,
): Promise<ExaminedTopics> {
  const targets = await readTargets(admin, settings);
  // Of the whole cluster: a topic without a leader fails a question that names it.
  const { topics: all } = await admin.fetchTopicMetadata();
  const existing = new Map(all.map((topic) => [topic.name, topic.partitions]));
  const isLed = ({ name }: TopicDeclaration) =>
    existing.get(name)?.every(({ leader }) => leader >= 0) === true;
  const led = declarations.filter(isLed);
  const topics = await readTopics(
    admin,
    led.map(({ name }) => name),
  );
  const described = all.filter(({ name }) => declarations.some((declared) => declared.name === name));
  const partitions = described.flatMap(({ name, partitions: its }) =>
    its.map((each) => ({ ...each, partition: `${name}/${each.partitionId}` })),
  );
  const bytes = Number(topics.get(changes)?.config.get('max.message.bytes'));
  return {
    findings: led.flatMap((each) => compareTopic(each, topics.get(each.name), targets)),
    leaderless: partitions.filter(({ leader }) => leader < 0).map(({ partition }) => partition),
    behind: partitions
      .filter(({ isr, replicas }) => isr.length < replicas.length)
      .map(({ partition }) => partition),
    missing: declarations.filter(({ name }) => !existing.has(name)).map(({ name }) => name),
    maxMessageBytes: bytes > 0 ? bytes : undefined,
  };
}

/** Kafka's own default, of a megabyte, is more. */
const FEW_MESSAGE_BYTES = 1_000_000;

const few = (names: readonly string[]) => `${names.slice(0, 5).join(', ')}${names.length > 5 ? ', …' : ''}`;

function describeTopics(
  count: number,
  { createTopics }: TopicSettings,
  { findings, leaderless, behind, missing, maxMessageBytes }: ExaminedTopics,
): Found[] {
  const found = findings.map(({ severity, text, fix }) => {
    const advice = fix === undefined ? 'see the message' : `run \`${TOPICS_COMMAND}\``;
    return severity === 'fault' ? failure(text, advice) : warning(text, advice);
  });
  if (missing.length > 0) {
    const text = `${missing.length} of ${count} do not exist: ${few(missing)}`;
    found.push(
      createTopics
        ? warning(text, 'the first services create them')
        : failure(text, `run \`${TOPICS_COMMAND}\`: KAFKA_CREATE_TOPICS forbids it to services`),
    );
  }
  if (leaderless.length > 0) {
    found.push(
      failure(
        `${leaderless.length} partitions have no leader: ${few(leaderless)}`,
        'start the missing brokers',
      ),
    );
  }
  if (behind.length > 0) {
    found.push(
      warning(
        `${behind.length} partitions have copies that are behind: ${few(behind)}`,
        'check the brokers that are behind',
      ),
    );
  }
  if (maxMessageBytes !== undefined && maxMessageBytes < FEW_MESSAGE_BYTES) {
    const fix = `set KAFKA_MAX_MESSAGE_BYTES, and run \`${TOPICS_COMMAND}\`: a larger record sets its resource aside`;
    found.push(warning(`a change may have ${maxMessageBytes} bytes`, fix));
  }
  const size = maxMessageBytes === undefined ? '' : `; a change may have ${maxMessageBytes} bytes`;
  return found.length > 0 ? found : [ok(`${count} fit${size}`)];
}
