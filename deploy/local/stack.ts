import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Env } from '../../shared/runtime/env.ts';
import { SetupError } from '../../shared/runtime/errors.ts';
import type { Log } from '../../shared/runtime/log.ts';
import { type Child, type ChildExit, createChildGroup } from './child-group.ts';
import { fetchJars } from './fetch-jars.ts';
import { findJava } from './java.ts';
import { PREFERRED_KAFKA_PORT, startKafka } from './kafka.ts';
import { tryLock } from './lock.ts';
import { choosePort } from './ports.ts';
import { startPostgres } from './postgres.ts';
import { startRegistry } from './registry.ts';
import { endLeftovers } from './run-processes.ts';

export type StackPart = 'postgres' | 'kafka' | 'registry';

export interface StackOptions {
  /** Where data, logs and records of running processes are kept. */
  readonly home: string;
  /** DATABASE_URL, CONTROL_DATABASE_URL, KAFKA_BROKERS, SCHEMA_REGISTRY_URL and STORAGE_URL each replace a part. */
  readonly env: Env;
  readonly log: Log;
  /** Told what takes long, in words for a person. */
  readonly say?: (line: string) => void;
  /** Runs once the databases answer, beside what else starts. The stack is up when it has succeeded too. */
  readonly onDatabases?: (urls: DatabaseUrls) => Promise<void>;
  /** Has Java keep its classes at the stop, so that later starts are faster: see `class-archive.ts`. */
  readonly makesClassArchives?: boolean;
  /** Gives up a start that is still going on: what is up by then is stopped, and the signal's reason is thrown. */
  readonly signal?: AbortSignal;
}

export interface DatabaseUrls {
  readonly databaseUrl: string;
  readonly controlDatabaseUrl: string;
}

export interface LocalStack extends AsyncDisposable, DatabaseUrls {
  readonly home: string;
  readonly kafkaBrokers: string;
  readonly schemaRegistryUrl: string;
  readonly storageUrl: string;
  /** The processes of the parts that were not given by a variable. */
  readonly startedHere: Readonly<Partial<Record<StackPart, Child>>>;
  /** Resolves when a part ends that was not told to; never rejects. */
  readonly failed: Promise<{ readonly part: string; readonly logPath: string; readonly exit: ChildExit }>;
  /** Stops what was started here, newest first. Safe to call twice. */
  stop(): Promise<void>;
}

/** The source database and the control store of a stack that was given neither. */
const SOURCE_DATABASE = 'product';
const CONTROL_DATABASE = 'tandem';

/**
 * Starts the parts that the environment does not name, side by side, and returns when all of them answer. When one can't
 * start, those that did are stopped again.
 *
 * @throws SetupError when another process uses this home, a tool is missing, or a part does not come up
 */
export async function startStack(options: StackOptions): Promise<LocalStack> {
  const { env, log } = options;
  const say = options.say ?? (() => undefined);
  const home = resolve(options.home);
  await using cleanup = new AsyncDisposableStack();
  const lock = tryLock(join(home, 'lock'));
  if (lock === null) {
    throw new SetupError(
      `another process runs the local stack in ${home}. Stop it first, or set TANDEM_HOME to another directory.`,
    );
  }
  cleanup.use(lock);
  const runDirectory = join(home, 'run');
  const leftovers = await endLeftovers(runDirectory);
  if (leftovers.length > 0) log.warn('stack.leftovers.ended', { processes: leftovers });
  const group = cleanup.use(createChildGroup(runDirectory));

  const given = readGiven(env);
  const logPath = (part: StackPart) => join(home, 'logs', `${part}.log`);
  const needsJars = given.kafkaBrokers === undefined || given.schemaRegistryUrl === undefined;
  const startMessaging = async () => {
    if (!needsJars) return { brokers: given.kafkaBrokers ?? '', registryUrl: given.schemaRegistryUrl ?? '' };
    const java = findJava(env);
    const { kafkaDirectory, registryDirectory } = await fetchJars(env, say, options.signal);
    const port = await choosePort(PREFERRED_KAFKA_PORT);
    const brokers = given.kafkaBrokers ?? `127.0.0.1:${port}`;
    const shared = { group, java, makesClassArchive: options.makesClassArchives ?? false };
    const kafkaOptions = { ...shared, home, port, jarDirectory: kafkaDirectory, logPath: logPath('kafka') };
    const directory = registryDirectory;
    const registryOptions = { ...shared, directory, kafkaBrokers: brokers, logPath: logPath('registry') };
    // The registry takes as long to load as Kafka, and then waits for it.
    const [kafka, registry] = await Promise.all([
      given.kafkaBrokers === undefined ? startKafka(kafkaOptions) : undefined,
      given.schemaRegistryUrl === undefined ? startRegistry(registryOptions) : undefined,
    ]);
    return { kafka, registry, brokers, registryUrl: registry?.url ?? given.schemaRegistryUrl ?? '' };
  };
  const startDatabase = async () => {
    const postgres =
      given.databaseUrl === undefined || given.controlDatabaseUrl === undefined
        ? await startPostgres({
            home,
            group,
            logPath: logPath('postgres'),
            databases: [SOURCE_DATABASE, CONTROL_DATABASE],
          })
        : undefined;
    const urls = {
      databaseUrl: given.databaseUrl ?? postgres?.url(SOURCE_DATABASE) ?? '',
      controlDatabaseUrl: given.controlDatabaseUrl ?? postgres?.url(CONTROL_DATABASE) ?? '',
    };
    await options.onDatabases?.(urls);
    return { postgres, urls };
  };

  const startedAtMs = Date.now();
  const [database, messaging] = await abortable(
    Promise.allSettled([startDatabase(), startMessaging()]),
    options.signal,
  );
  if (database.status === 'rejected') throw database.reason;
  if (messaging.status === 'rejected') throw messaging.reason;
  const { postgres, urls } = database.value;
  const { kafka, registry, brokers, registryUrl } = messaging.value;

  const parts = Object.entries({ postgres, kafka, registry }).flatMap(([part, started]) =>
    started === undefined ? [] : [{ part, child: started.child }],
  );
  let stopping = false;
  const owned = cleanup.move();
  const stop = async () => {
    stopping = true;
    await owned.disposeAsync();
  };
  const failed = new Promise<Awaited<LocalStack['failed']>>((resolveFailed) => {
    for (const { part, child } of parts) {
      child.exited.then((exit) => {
        if (stopping) return;
        log.error('stack.part.ended', { part, ...exit, logPath: child.logPath });
        resolveFailed({ part, exit, logPath: child.logPath });
      });
    }
  });
  const stack: LocalStack = {
    home,
    ...urls,
    kafkaBrokers: brokers,
    schemaRegistryUrl: registryUrl,
    storageUrl: given.storageUrl ?? pathToFileURL(join(home, 'storage')).href,
    startedHere: Object.fromEntries(parts.map(({ part, child }) => [part, child])),
    failed,
    stop,
    [Symbol.asyncDispose]: stop,
  };
  log.info('stack.started', { parts: parts.map(({ part }) => part), durationMs: Date.now() - startedAtMs });
  return stack;
}

/** An empty variable counts as not given, as everywhere. */
function readGiven(env: Env) {
  const get = (name: string) => env[name]?.trim() || undefined;
  return {
    databaseUrl: get('DATABASE_URL'),
    // As for the services: a source of the operator's own is the control store too, unless another is named.
    controlDatabaseUrl: get('CONTROL_DATABASE_URL') ?? get('DATABASE_URL'),
    kafkaBrokers: get('KAFKA_BROKERS'),
    schemaRegistryUrl: get('SCHEMA_REGISTRY_URL'),
    storageUrl: get('STORAGE_URL'),
  };
}

/** The variables by which the services find this stack. */
export function stackVariables(stack: LocalStack) {
  return {
    DATABASE_URL: stack.databaseUrl,
    CONTROL_DATABASE_URL: stack.controlDatabaseUrl,
    KAFKA_BROKERS: stack.kafkaBrokers,
    SCHEMA_REGISTRY_URL: stack.schemaRegistryUrl,
    STORAGE_URL: stack.storageUrl,
  };
}

async function abortable<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  signal.addEventListener('abort', abort);
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
