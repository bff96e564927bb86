import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Admin } from 'kafkajs';
import type pg from 'pg';
import { prepareSource } from '../../deploy/cli/prepare-source.ts';
import { createScratchDatabase } from '../../deploy/local/scratch-database.ts';
import { buildCapture } from '../../services/capture/build.ts';
import { readCaptureConfig } from '../../services/capture/config.ts';
import { loadCatalog, parseCatalog } from '../../shared/catalog/load-catalog.ts';
import { ensureTopics } from '../../shared/kafka/ensure-topics.ts';
import { topicsOf } from '../../shared/kafka/topics.ts';
import { type ChangeReader, openChangeReader } from './change-reader.ts';
import { CLIENT_ENV } from './kafka-client.ts';
import { openProductPool } from './product-pool.ts';
import { rawKafka } from './raw-kafka.ts';
import { type RunningService, type ServiceProcess, spawnService, startService } from './services.ts';
import { controlTemplate, testStack, topicPrefix } from './stack.ts';

/** A source of its own with a slot of its own, to be captured into topics of its own. */
export interface CaptureWorld extends AsyncDisposable {
  readonly url: string;
  readonly prefix: string;
  readonly pool: pg.Pool;
  readonly reader: ChangeReader;
  /** Runs capture in this process, and resolves once it streams. `stop` resolves when it has ended; `ended` rejects with its failure. */
  start(env?: Record<string, string>): Promise<RunningService>;
  /** Starts a real process. It is killed with the world, at the latest. */
  spawn(nodeOptions?: readonly string[], env?: Record<string, string>): ServiceProcess;
  /** Ends whatever was started: in this process in order, real ones by SIGKILL. */
  endAll(): Promise<void>;
  /** Creates the publication, the identities and the slot. */
  prepare(): Promise<void>;
}

export interface WorldOptions {
  readonly schemaSql: string;
  /** YAML. */
  readonly catalog: string;
  /** Leaves the source as it is, without publication and slot. */
  readonly isUnprepared?: boolean;
  /** A server of the test's own in place of the shared one. */
  readonly serverUrl?: string;
  /** Brokers of the test's own in place of the shared ones. */
  readonly kafkaBrokers?: string;
  /** Of the database; by default the server's. */
  readonly encoding?: string;
}

export async function createCaptureWorld({
  schemaSql,
  catalog,
  isUnprepared = false,
  serverUrl,
  kafkaBrokers,
  encoding,
}: WorldOptions): Promise<CaptureWorld> {
  const stack = {
    schemaRegistryUrl: testStack().schemaRegistryUrl,
    databaseUrl: serverUrl ?? testStack().databaseUrl,
    kafkaBrokers: kafkaBrokers ?? testStack().kafkaBrokers,
  };
  // On a server of the test's own there is no template, and capture migrates.
  const template = serverUrl === undefined ? controlTemplate() : undefined;
  await using cleanup = new AsyncDisposableStack();
  const database = cleanup.use(
    await createScratchDatabase(stack.databaseUrl, 'capture', { encoding, template }),
  );
  const prefix = topicPrefix();
  const pool = cleanup.adopt(openProductPool({ connectionString: database.url, max: 6 }), (each) =>
    each.end(),
  );
  await pool.query(schemaSql);
  const directory = await mkdtemp(join(tmpdir(), 'tandem-capture-'));
  cleanup.defer(() => rm(directory, { recursive: true, force: true }));
  const catalogPath = join(directory, 'catalog.yaml');
  await writeFile(catalogPath, catalog);
  const prepare = async () => {
    const names = { publication: prefix, slot: prefix };
    // Other tests have transactions open on this server, which a slot waits for.
    await prepareSource(pool, parseCatalog(catalog, 'catalog.yaml'), names, {
      limits: { slotTimeoutMs: 240_000 },
    });
  };
  if (!isUnprepared) await prepare();

  const baseEnv: Record<string, string> = {
    DATABASE_URL: database.url,
    ...CLIENT_ENV,
    KAFKA_BROKERS: stack.kafkaBrokers,
    SCHEMA_REGISTRY_URL: stack.schemaRegistryUrl,
    CATALOG: catalogPath,
    TOPIC_PREFIX: prefix,
    SLOT_NAME: prefix,
    PUBLICATION_NAME: prefix,
  };
  await createTopics(baseEnv);
  cleanup.defer(() => deleteTopics(stack.kafkaBrokers, prefix));
  const reader = cleanup.use(await openChangeReader(stack, prefix));
  const running = new Set<RunningService>();
  const processes = new Set<ServiceProcess>();
  const endAll = async () => {
    await Promise.allSettled([...running].map((each) => each.stop()));
    await Promise.all([...processes].map((each) => each.kill()));
  };
  cleanup.defer(endAll);
  const held = cleanup.move();

  return {
    url: database.url,
    prefix,
    pool,
    reader,
    prepare,
    endAll,
    async start(env = {}) {
      const config = readCaptureConfig({ ...baseEnv, ...env });
      const capture = await startService((context) => buildCapture(config, context));
      running.add(capture);
      return capture;
    },
    spawn(nodeOptions = [], env = {}) {
      const capture = spawnService('capture', { ...baseEnv, ...env }, nodeOptions);
      processes.add(capture);
      return capture;
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

/** Made before the reader subscribes: it learns of later topics only after a while. */
async function createTopics(env: Record<string, string>): Promise<void> {
  const topics = topicsOf(env.TOPIC_PREFIX ?? '', await loadCatalog(env.CATALOG ?? ''));
  const wanted = topics.declarations.filter(({ name }) => !name.includes('.rows.'));
  await withAdmin(env.KAFKA_BROKERS ?? '', async (admin) => void (await ensureTopics(admin, wanted)));
}

async function deleteTopics(brokers: string, prefix: string): Promise<void> {
  await withAdmin(brokers, async (admin) => {
    const topics = (await admin.listTopics()).filter((name) => name.startsWith(`${prefix}.`));
    await admin.deleteTopics({ topics });
  });
}

async function withAdmin(brokers: string, run: (admin: Admin) => Promise<void>): Promise<void> {
  const admin = rawKafka(brokers).admin();
  await admin.connect();
  try {
    await run(admin);
  } finally {
    await admin.disconnect();
  }
}
