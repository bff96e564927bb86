import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Admin } from 'kafkajs';
import type pg from 'pg';
import { prepareSource } from '../../deploy/cli/prepare-source.ts';
import { createScratchDatabase } from '../../deploy/local/scratch-database.ts';
import { NODE_FLAGS } from '../../deploy/local/supervise.ts';
import { buildCapture } from '../../services/capture/build.ts';
import { readCaptureConfig } from '../../services/capture/config.ts';
import { loadCatalog, parseCatalog } from '../../shared/catalog/load-catalog.ts';
import { ensureTopics } from '../../shared/kafka/ensure-topics.ts';
import { topicsOf } from '../../shared/kafka/topics.ts';
import { createLog, type Log } from '../../shared/runtime/log.ts';
import { runService } from '../../shared/runtime/run-service.ts';
import { type ChangeReader, openChangeReader } from './change-reader.ts';
import { CLIENT_ENV } from './kafka-client.ts';
import { openProductPool } from './product-pool.ts';
import { rawKafka } from './raw-kafka.ts';
import { testStack, topicPrefix } from './stack.ts';

const MAIN = fileURLToPath(new URL('../../services/capture/main.ts', import.meta.url));

/** A source of its own with a slot of its own, to be captured into topics of its own. */
export interface CaptureWorld extends AsyncDisposable {
  readonly url: string;
  readonly prefix: string;
  readonly pool: pg.Pool;
  readonly reader: ChangeReader;
  /** Runs capture in this process, and resolves once it streams. `stop` resolves when it has ended; `ended` rejects with its failure. */
  start(env?: Record<string, string>): Promise<RunningCapture>;
  /** Starts a real process. It is killed with the world, at the latest. */
  spawn(nodeOptions?: readonly string[], env?: Record<string, string>): CaptureProcess;
  /** Ends whatever was started: in this process in order, real ones by SIGKILL. */
  endAll(): Promise<void>;
  /** Creates the publication, the identities and the slot. */
  prepare(): Promise<void>;
}

export type LogLine = Readonly<Record<string, unknown>> & { readonly event: string };

export interface CaptureProcess {
  readonly child: ChildProcess;
  /** What it has logged so far. */
  readonly log: readonly LogLine[];
  readonly hasLogged: (event: string) => boolean;
  /** By SIGKILL; resolves once it is gone. */
  kill(): Promise<void>;
}

export interface RunningCapture {
  readonly ended: Promise<void>;
  stop(): Promise<void>;
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
  await using cleanup = new AsyncDisposableStack();
  const database = cleanup.use(await createScratchDatabase(stack.databaseUrl, 'capture', encoding));
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
  const running = new Set<RunningCapture>();
  const children = new Set<ChildProcess>();
  const endAll = async () => {
    await Promise.allSettled([...running].map((each) => each.stop()));
    await Promise.all([...children].map(killChild));
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
      const controller = new AbortController();
      const { log, ready } = watchReadiness();
      const ended = runService(
        (context) => buildCapture(readCaptureConfig({ ...baseEnv, ...env }), context),
        log,
        controller.signal,
      );
      const capture: RunningCapture = {
        ended,
        async stop() {
          controller.abort();
          running.delete(capture);
          await ended;
        },
      };
      running.add(capture);
      await Promise.race([ready, ended]);
      return capture;
    },
    spawn(nodeOptions = [], env = {}) {
      const child = spawn(process.execPath, [...NODE_FLAGS, ...nodeOptions, MAIN], {
        env: {
          PATH: process.env.PATH,
          LOG_LEVEL: process.env.TEST_LOG === undefined ? 'info' : 'debug',
          ...baseEnv,
          ...env,
        },
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      children.add(child);
      const log = collectLog(child);
      const hasLogged = (event: string) => log.some((line) => line.event === event);
      return { child, log, hasLogged, kill: () => killChild(child) };
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

function collectLog(child: ChildProcess): LogLine[] {
  const log: LogLine[] = [];
  if (child.stderr === null) return log;
  createInterface({ input: child.stderr }).on('line', (line) => {
    if (process.env.TEST_LOG !== undefined) console.error(line);
    // Node's own warnings come the same way.
    if (line.startsWith('{')) log.push(JSON.parse(line) as LogLine);
  });
  return log;
}

async function killChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

/** Readiness is told in the log, as for an operator. `TEST_LOG=1` shows the log. */
function watchReadiness(): { log: Log; ready: Promise<void> } {
  const ready = Promise.withResolvers<void>();
  const log = createLog('debug', {}, (line) => {
    if (process.env.TEST_LOG !== undefined) console.error(line);
    if (line.includes('"service.ready"')) ready.resolve();
  });
  return { log, ready: ready.promise };
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
