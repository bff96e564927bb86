import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Kafka, logLevel } from 'kafkajs';
import { createChildGroup } from '../../deploy/local/child-group.ts';
import { fetchJars } from '../../deploy/local/fetch-jars.ts';
import { findJava } from '../../deploy/local/java.ts';
import { type KafkaOptions, type LocalKafka, startKafka } from '../../deploy/local/kafka.ts';
import { choosePort } from '../../deploy/local/ports.ts';

/** A Kafka broker of a test's own, which it may kill and start again. Nothing is left of it after disposal. */
export interface OwnKafka extends AsyncDisposable {
  readonly brokers: string;
  /** By SIGKILL; resolves once it is gone. */
  kill(): Promise<void>;
  /** On its port with its data, after `kill`. */
  start(): Promise<void>;
}

/** Bytes a second of a client, by its ID, as `producer_byte_rate` and `consumer_byte_rate`. Each broker counts for itself. */
export async function setQuota(
  brokers: string,
  clientId: string,
  quotas: Readonly<Partial<Record<'producer_byte_rate' | 'consumer_byte_rate', number>>>,
): Promise<void> {
  const { kafkaDirectory } = await fetchJars(process.env, () => undefined);
  const set = Object.entries(quotas).map(([name, bytes]) => `${name}=${bytes}`);
  const entity = ['--entity-type', 'clients', '--entity-name', clientId];
  await promisify(execFile)(findJava(process.env), [
    ...['-cp', join(kafkaDirectory, '*'), 'kafka.admin.ConfigCommand', '--bootstrap-server', brokers],
    ...['--alter', '--add-config', set.join(','), ...entity],
  ]);
}

/** What differs from one small node. */
export type OwnKafkaOptions = Pick<
  KafkaOptions,
  'port' | 'controllerPort' | 'settings' | 'formatArguments' | 'probe'
>;

export async function openOwnKafka(options: OwnKafkaOptions = {}): Promise<OwnKafka> {
  const home = mkdtempSync(join(tmpdir(), 'tandem-own-kafka-'));
  await using unlessStarted = new AsyncDisposableStack();
  unlessStarted.defer(() => rmSync(home, { recursive: true, force: true }));
  const group = unlessStarted.use(createChildGroup(join(home, 'run')));
  const { kafkaDirectory } = await fetchJars(process.env, () => undefined);
  const java = findJava(process.env);
  const run = (port?: number): Promise<LocalKafka> =>
    startKafka({
      ...options,
      home,
      group,
      java,
      jarDirectory: kafkaDirectory,
      logPath: join(home, 'kafka.log'),
      ...(port === undefined ? {} : { port }),
    });
  let kafka = await run(options.port);
  const owned = unlessStarted.move();
  return {
    brokers: kafka.brokers,
    async kill() {
      kafka.child.kill('SIGKILL');
      await kafka.child.exited;
    },
    async start() {
      kafka = await run(kafka.port);
    },
    async [Symbol.asyncDispose]() {
      kafka.child.kill('SIGKILL');
      await owned.disposeAsync();
    },
  };
}

/** Brokers that are controllers too (KRaft). Each may be killed and started again by its ID. */
export interface OwnKafkaCluster extends AsyncDisposable {
  readonly brokers: string;
  readonly nodes: ReadonlyMap<number, OwnKafka>;
}

const PREFERRED_PORT = 19_192;

/** A node of a cluster is up once it answers, though topics have no leader until others are. */
async function connectOnce(brokers: string): Promise<void> {
  const retry = { retries: 0 };
  const kafka = new Kafka({
    brokers: [brokers],
    logLevel: logLevel.NOTHING,
    connectionTimeout: 1_000,
    retry,
  });
  const admin = kafka.admin();
  try {
    await admin.connect();
  } finally {
    await admin.disconnect();
  }
}

/** Every topic of the brokers themselves has a replica on each, and two of three must have a record. */
export async function openOwnKafkaCluster(ids: readonly number[] = [1, 2, 3]): Promise<OwnKafkaCluster> {
  const controllerPorts: number[] = [];
  for (const id of ids) controllerPorts.push(await choosePort(PREFERRED_PORT + 10 * id));
  const minInsync = ids.length - 1;
  const shared = {
    'controller.quorum.voters': ids.map((id, index) => `${id}@127.0.0.1:${controllerPorts[index]}`).join(','),
    'offsets.topic.replication.factor': ids.length,
    'transaction.state.log.replication.factor': ids.length,
    'transaction.state.log.min.isr': minInsync,
    'share.coordinator.state.topic.replication.factor': ids.length,
    'share.coordinator.state.topic.min.isr': minInsync,
    // A dead broker is noticed after this (by default 9 s), so a test that kills all in turn takes less time.
    'broker.session.timeout.ms': 3_000,
    'broker.heartbeat.interval.ms': 500,
  };
  await using unlessStarted = new AsyncDisposableStack();
  const started = await Promise.all(
    ids.map(async (id, index) =>
      unlessStarted.use(
        await openOwnKafka({
          port: await choosePort(PREFERRED_PORT + 10 * id + 1),
          controllerPort: controllerPorts[index] ?? 0,
          probe: connectOnce,
          settings: { ...shared, 'node.id': id },
        }),
      ),
    ),
  );
  const owned = unlessStarted.move();
  return {
    brokers: started.map(({ brokers }) => brokers).join(','),
    nodes: new Map(ids.map((id, index) => [id, started[index] as OwnKafka])),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
