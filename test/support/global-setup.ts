import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { tryLock } from '../../deploy/local/lock.ts';
import { createScratchDatabase, type ScratchDatabase } from '../../deploy/local/scratch-database.ts';
import { type LocalStack, startStack } from '../../deploy/local/stack.ts';
import { migrate } from '../../shared/control/migrate.ts';
import { createControlPool } from '../../shared/postgres/pool.ts';
import { silentLog } from '../../shared/runtime/log.ts';
import type { TestStack } from './stack.ts';
import { stackVariables } from './stack-variables.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    stack: TestStack;
    /** The name of a control store's database that has every migration and is otherwise empty. */
    controlTemplate: string;
  }
}

const HOME_PREFIX = 'tandem-test-';

/** A run takes its lock within milliseconds of making its directory; an older one without a lock is abandoned. */
const ABANDONED_AFTER_MS = 60_000;

interface SharedStack {
  users: number;
  readonly started: Promise<Started>;
}

interface Started {
  readonly stack: LocalStack;
  readonly controlTemplate: ScratchDatabase;
}

/**
 * Each project loads this module for itself, in one process; the run's one stack is found through the
 * global object because it is all that those copies share.
 */
const shared = globalThis as { tandemTestStack?: SharedStack };

/** Starts the run's stack for the first project that asks, and stops it after the last. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  shared.tandemTestStack ??= { users: 0, started: start() };
  const mine = shared.tandemTestStack;
  mine.users += 1;
  const { stack, controlTemplate } = await mine.started;
  project.provide('stack', {
    databaseUrl: stack.databaseUrl,
    kafkaBrokers: stack.kafkaBrokers,
    schemaRegistryUrl: stack.schemaRegistryUrl,
  });
  project.provide('controlTemplate', controlTemplate.name);
  return async () => {
    mine.users -= 1;
    if (mine.users > 0) return;
    delete shared.tandemTestStack;
    // A server that was given to this run keeps nothing of it.
    await controlTemplate.drop();
    await stack.stop();
    rmSync(stack.home, { recursive: true, force: true });
  };
}

async function start(): Promise<Started> {
  removeAbandonedHomes();
  // A home of its own: a run must neither meet a developer's data nor another run.
  const home = mkdtempSync(join(tmpdir(), HOME_PREFIX));
  // PostgreSQL runs as another user when the tests run as root, and has to get in.
  chmodSync(home, 0o755);
  const env = { ...process.env, STORAGE_URL: undefined, ...stackVariables(process.env) };
  const stack = await startStack({ home, env, log: silentLog, say: console.log, makesClassArchives: true });
  if (stack.startedHere.postgres !== undefined) await skipSyncs(stack.databaseUrl);
  return { stack, controlTemplate: await makeControlTemplate(stack.databaseUrl) };
}

/** To apply every migration takes PostgreSQL half a second of CPU, and to copy what they made a tenth of one. */
async function makeControlTemplate(serverUrl: string): Promise<ScratchDatabase> {
  const database = await createScratchDatabase(serverUrl, 'control_template');
  const pool = createControlPool(database.url, silentLog, { applicationName: 'test', max: 1 });
  try {
    await migrate(pool);
  } finally {
    await pool.end();
  }
  return database;
}

/** The server's data goes with the run, and a test that crashes a server has its own: a commit need not wait for a disk. */
async function skipSyncs(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query('alter system set fsync = off');
    // Whole pages in the WAL help after a power cut only, and every slot of a test reads the WAL of all tests.
    await client.query('alter system set full_page_writes = off');
    await client.query('select pg_reload_conf()');
  } finally {
    await client.end();
  }
}

/** A run that was killed leaves its directory behind; the lock tells such a one from a run that is still going. */
function removeAbandonedHomes(): void {
  for (const name of readdirSync(tmpdir()).filter((entry) => entry.startsWith(HOME_PREFIX))) {
    const home = join(tmpdir(), name);
    if (Date.now() - (statSync(home, { throwIfNoEntry: false })?.mtimeMs ?? 0) < ABANDONED_AFTER_MS) continue;
    const lock = tryLock(join(home, 'lock'));
    if (lock === null) continue;
    rmSync(home, { recursive: true, force: true });
    lock[Symbol.dispose]();
  }
}
