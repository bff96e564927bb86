import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Kafka, logLevel } from 'kafkajs';
import { SetupError } from '../../shared/runtime/errors.ts';
import type { Child, ChildGroup } from './child-group.ts';
import { openClassArchive, pickGrace } from './class-archive.ts';
import { choosePort } from './ports.ts';
import { waitUntilUp } from './wait-until-up.ts';

const run = promisify(execFile);

/** Of the node that other parts are told of before it is up. */
export const PREFERRED_KAFKA_PORT = 19_092;
const PREFERRED_CONTROLLER_PORT = 19_093;

const START_LIMIT_MS = 90_000;

const FORMAT_LIMIT_MS = 60_000;

/** Fixed, so that a data directory can be recognised; a cluster of one machine needs no other. */
const CLUSTER_ID = 'dGFuZGVtLWxvY2FsLTAwMA';

const LOG_CONFIG = fileURLToPath(new URL('./kafka-log4j2.xml', import.meta.url));

export interface LocalKafka {
  readonly child: Child;
  readonly port: number;
  readonly brokers: string;
}

export interface KafkaOptions {
  readonly home: string;
  readonly group: ChildGroup;
  readonly logPath: string;
  readonly java: string;
  readonly jarDirectory: string;
  /** Makes an archive of the classes at the stop, for later starts, where there is none. */
  readonly makesClassArchive?: boolean;
  /** The port of an earlier start, for clients that know it; chosen when absent. */
  readonly port?: number;
  /** As `port`, for the other controllers of a cluster. */
  readonly controllerPort?: number;
  /** On top of those of one small node. */
  readonly settings?: KafkaSettings;
  /** On top of those that format a new data directory: users, for one. */
  readonly formatArguments?: readonly string[];
  /** Fails until the node answers. By default it is asked for its cluster, without a login. */
  readonly probe?: (brokers: string) => Promise<void>;
}

export type KafkaSettings = Readonly<Record<string, string | number>>;

/** Starts one Kafka node that is broker and controller (KRaft), formatting its directory the first time, and returns when it answers. */
export async function startKafka(options: KafkaOptions): Promise<LocalKafka> {
  const { home, group, logPath, java, jarDirectory, settings, formatArguments = [] } = options;
  const { makesClassArchive = false } = options;
  mkdirSync(home, { recursive: true });
  const port = options.port ?? (await choosePort(PREFERRED_KAFKA_PORT));
  const controllerPort = options.controllerPort ?? (await choosePort(PREFERRED_CONTROLLER_PORT));
  const data = join(home, 'kafka');
  const propertiesPath = join(home, 'kafka.properties');
  const classPath = join(jarDirectory, '*');
  const formatted = existsSync(data);
  const staging = `${data}.incomplete`;
  writeFileSync(propertiesPath, kafkaProperties(formatted ? data : staging, port, controllerPort, settings));
  if (!formatted) {
    // Formatted beside its place and moved there when it is whole; what a run that died left is thrown away.
    rmSync(staging, { recursive: true, force: true });
    await format(java, classPath, propertiesPath, formatArguments);
    renameSync(staging, data);
    writeFileSync(propertiesPath, kafkaProperties(data, port, controllerPort, settings));
  }
  const archive = openClassArchive(dirname(jarDirectory), 'kafka', java, makesClassArchive);
  const child = group.spawn({
    name: 'kafka',
    command: java,
    args: [
      ...archive.args,
      '-Xms256m',
      '-Xmx768m',
      // The second compiler keeps a processor busy for the first minutes of a broker, and here everything shares two or a
      // few; and the collector that works beside the program is of use only where there are processors to spare.
      '-XX:TieredStopAtLevel=1',
      '-XX:+UseSerialGC',
      '-XX:+ExitOnOutOfMemoryError',
      // Otherwise a thread wakes twenty times a second for `jstat`.
      '-XX:-UsePerfData',
      `-Dlog4j2.configurationFile=${LOG_CONFIG}`,
      '-cp',
      classPath,
      'kafka.Kafka',
      propertiesPath,
    ],
    ...pickGrace(archive),
    env: { PATH: '/usr/bin:/bin' },
    cwd: home,
    logPath,
  });
  archive.keepOf(child);
  const brokers = `127.0.0.1:${port}`;
  const probe = options.probe ?? describeCluster;
  await waitUntilUp(child, () => probe(brokers), START_LIMIT_MS);
  return { child, port, brokers };
}

/** The settings of one small node: nothing is replicated, internal topics are few, groups start at once. */
export function kafkaProperties(
  dataDirectory: string,
  port: number,
  controllerPort: number,
  others: KafkaSettings = {},
): string {
  const settings: Record<string, string | number> = {
    'process.roles': 'broker,controller',
    'node.id': 1,
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}`,
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'log.dirs': dataDirectory,
    'auto.create.topics.enable': 'false',
    'offsets.topic.replication.factor': 1,
    'offsets.topic.num.partitions': 8,
    'transaction.state.log.replication.factor': 1,
    'transaction.state.log.min.isr': 1,
    'transaction.state.log.num.partitions': 8,
    'share.coordinator.state.topic.replication.factor': 1,
    'share.coordinator.state.topic.min.isr': 1,
    'share.coordinator.state.topic.num.partitions': 1,
    'group.initial.rebalance.delay.ms': 0,
    'group.min.session.timeout.ms': 2_000,
    // One change is one message with the old row and the new, and a value may have 64 MB: 160 MB, with requests that can hold it.
    'message.max.bytes': 160 * 1024 * 1024,
    'replica.fetch.max.bytes': 160 * 1024 * 1024,
    'socket.request.max.bytes': 180 * 1024 * 1024,
    // The default, 128 MB, is a sixth of this node's heap.
    'log.cleaner.dedupe.buffer.size': 16 * 1024 * 1024,
    // Before a producer's first records of a transaction the broker would ask itself whether the transaction is under way,
    // over a connection, like any other broker. Capture has added the partition and has the answer before it sends records,
    // and what is left of a fenced instance has an epoch that is refused.
    'transaction.partition.verification.enable': 'false',
    // A node that has nothing to write would write that down twice a second.
    'metadata.max.idle.interval.ms': 5_000,
    // Each hand-over between threads is a wake-up, and two processors keep no more of them busy.
    'num.network.threads': 1,
    'num.io.threads': 2,
    'background.threads': 2,
    ...others,
  };
  return Object.entries(settings)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}

async function format(
  java: string,
  classPath: string,
  propertiesPath: string,
  others: readonly string[],
): Promise<void> {
  const args = [`-Dlog4j2.configurationFile=${LOG_CONFIG}`, '-cp', classPath, 'kafka.tools.StorageTool'];
  try {
    await run(java, [...args, 'format', '-t', CLUSTER_ID, '-c', propertiesPath, ...others], {
      timeout: FORMAT_LIMIT_MS,
    });
  } catch (cause) {
    const { stderr, stdout } = cause as { stderr?: string; stdout?: string };
    const error = new SetupError('Kafka could not format its data directory', [
      `${stdout ?? ''}${stderr ?? ''}`.trim() || String(cause),
    ]);
    error.cause = cause;
    throw error;
  }
}

/** Fails until a broker answers without a login, and knows a controller. */
export async function describeCluster(brokers: string): Promise<void> {
  const kafka = new Kafka({
    clientId: 'tandem-stack',
    brokers: [brokers],
    logLevel: logLevel.NOTHING,
    connectionTimeout: 1_000,
    requestTimeout: 5_000,
    retry: { retries: 0 },
  });
  const admin = kafka.admin();
  try {
    await admin.connect();
    const { controller } = await admin.describeCluster();
    if (controller === null || controller < 0) throw new Error('no controller yet');
  } finally {
    await admin.disconnect();
  }
}
