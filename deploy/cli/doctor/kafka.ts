import net from 'node:net';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import { createKafka } from '../../../shared/kafka/client.ts';
import type { KafkaConfig } from '../../../shared/kafka/client-config.ts';
import { connectAdmin } from '../../../shared/kafka/connect-admin.ts';
import { readTargets, readTopics } from '../../../shared/kafka/ensure-topics.ts';
import type { KafkaAdmin } from '../../../shared/kafka/kafka-client.ts';
import { tokenFetcher } from '../../../shared/kafka/login/login.ts';
import { few, readPartitions } from '../../../shared/kafka/read-partitions.ts';
import { compareTopic, TOPICS_COMMAND, type TopicFinding } from '../../../shared/kafka/topic-plan.ts';
import type { TopicSettings } from '../../../shared/kafka/topic-settings.ts';
import { type TopicDeclaration, topicsOf } from '../../../shared/kafka/topics.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { type Area, close, type Found, failure, messageOf, ok, warning } from './area.ts';
import { describeBrokerClock } from './broker-clock.ts';
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
    () => kafka.apiVersions(nodeIds),
    describeVersions,
  );
  if (catalog === undefined) return;
  const { declarations, changes, capture } = topicsOf(prefix, catalog);
  const topics = await area.attempt(
    'topics',
    'let the user describe the topics and their configuration (TOPIC_PREFIX)',
    () => examineTopics(admin, { declarations, settings, changes, nodeIds }),
    (found) => describeTopics(declarations.length, settings, found),
  );
  if (
    topics === undefined ||
    [...topics.missing, ...topics.leaderless].some((name) => name.startsWith(capture))
  )
    return;
  await area.attempt(
    'clock',
    'let the user read the capture topic',
    () => kafka.transactionTimes(admin, capture),
    (times) => describeBrokerClock(times, Date.now()),
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
  /** Partitions without a leader, with too few copies to accept a record, and with copies that are behind. */
  readonly leaderless: readonly string[];
  readonly refusing: readonly string[];
  readonly behind: readonly string[];
  /** Brokers that are to have partitions and are not there: how many, by ID. */
  readonly away: ReadonlyMap<number, number>;
  readonly missing: readonly string[];
  /** Of a change. Undefined before the topic exists. */
  readonly maxMessageBytes: number | undefined;
}

interface TopicsToExamine {
  readonly declarations: readonly TopicDeclaration[];
  readonly settings: TopicSettings;
  readonly changes: string;
  /** Of the brokers that are there. */
  readonly nodeIds: readonly number[];
}

async function examineTopics(
  admin: KafkaAdmin,
  { declarations, settings, changes, nodeIds }: TopicsToExamine,
): Promise<ExaminedTopics> {
  const targets = await readTargets(admin, settings);
  const all = await readPartitions(admin);
  const names = declarations.map(({ name }) => name);
  const isLed = (name: string) => all.get(name)?.every(({ leader }) => leader >= 0) === true;
  const topics = await readTopics(admin, names.filter(isLed));
  const partitions = names.flatMap((name) => {
    const minInsync = Number(topics.get(name)?.config.get('min.insync.replicas') ?? 1);
    return (all.get(name) ?? []).map((each) => ({ ...each, minInsync }));
  });
  const leaderless = partitions.filter(({ leader }) => leader < 0);
  const refusing = partitions.filter(({ leader, isr, minInsync }) => leader >= 0 && isr.length < minInsync);
  const behind = partitions.filter(({ isr, replicas }) => isr.length < replicas.length);
  const told = new Set([...leaderless, ...refusing]);
  const away = partitions.flatMap(({ replicas }) => replicas.filter((id) => !nodeIds.includes(id)));
  const bytes = Number(topics.get(changes)?.config.get('max.message.bytes'));
  const nameOf = ({ partition }: { partition: string }) => partition;
  return {
    findings: declarations
      .filter(({ name }) => isLed(name))
      .flatMap((each) => compareTopic(each, topics.get(each.name), targets)),
    leaderless: leaderless.map(nameOf),
    refusing: refusing.map(nameOf),
    behind: behind.filter((each) => !told.has(each)).map(nameOf),
    away: new Map([...Map.groupBy(away, (id) => id)].map(([id, its]) => [id, its.length])),
    missing: names.filter((name) => !all.has(name)),
    maxMessageBytes: bytes > 0 ? bytes : undefined,
  };
}

/** Kafka's own default, of a megabyte, is more. */
const FEW_MESSAGE_BYTES = 1_000_000;

function describeTopics(
  count: number,
  { createTopics }: TopicSettings,
  { findings, leaderless, refusing, behind, away, missing, maxMessageBytes }: ExaminedTopics,
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
        'start the brokers that are away',
      ),
    );
  }
  if (refusing.length > 0) {
    found.push(
      failure(
        `${refusing.length} partitions accept no record, because fewer copies are in sync than min.insync.replicas: ${few(refusing)}`,
        'start the brokers that are away, or wait until they are in sync',
      ),
    );
  }
  for (const [id, count] of away) {
    found.push(warning(`broker ${id} is away, which is to have copies of ${count} partitions`, 'start it'));
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
