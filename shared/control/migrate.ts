import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import type { Pool, PoolClient } from 'pg';
import type { Queryable } from '../postgres/queryable.ts';
import type { EnvReader } from '../runtime/env.ts';
import { SetupError } from '../runtime/errors.ts';
import { type Log, silentLog } from '../runtime/log.ts';
import { retry } from '../runtime/retry.ts';
import { sleep } from '../runtime/sleep.ts';
import { classifyTransient } from '../runtime/transient.ts';
import { ADVISORY_LOCKS } from './advisory-locks.ts';

const MIGRATIONS = new URL('./migrations/', import.meta.url);

const INSUFFICIENT_PRIVILEGE = '42501';

/** A waiting lock request blocks every later one on its table, so it gives up early and is repeated. */
const LOCK_TIMEOUT = '2s';
const LOCK_ATTEMPTS = 60;
const LOCK_BACKOFF = { initialMs: 100, maxMs: 3_000 };

/** Interval of checking whether another process has finished its migrations. */
const POLL_MS = 100;

/** The first line of a file whose statements run one by one, each outside a transaction. */
const NO_TRANSACTION = '-- no transaction';

export const MIGRATE_COMMAND = 'tandem migrate apply';

/** What a service does at its start if the control store lacks migrations: apply them, or refuse to start. */
export type ControlMigrations = 'apply' | 'check';

export function readControlMigrations(read: EnvReader): ControlMigrations {
  return read.oneOf('CONTROL_MIGRATIONS', ['apply', 'check'], 'apply');
}

/**
 * A file of `migrations/`. An applied file never changes; each change of the schema is a new file.
 *
 * A file is one transaction, unless it starts with `-- no transaction`, for `create index concurrently`. The statements
 * of such a file end with a semicolon at the end of a line, and are repeated after a crash, so each must be repeatable.
 */
export interface Migration {
  readonly name: string;
  readonly sql: string;
}

export interface MigrationStatus {
  /** Applied to the control store, and part of this release. */
  readonly applied: readonly { readonly name: string; readonly appliedAt: Date }[];
  /** Part of this release, and not applied. */
  readonly pending: readonly string[];
  /** Applied by a newer release. This release works with them, like old and new processes during an upgrade. */
  readonly newer: readonly string[];
}

interface AppliedMigration {
  readonly name: string;
  readonly sha256: string;
  readonly applied_at: Date;
}

/**
 * Updates the control store's schema `tandem`. Every service may call it at its start: one migrates under an advisory
 * lock, the others wait and find nothing left. A statement may run as long as it needs, but waits only seconds for a
 * lock, and is then repeated for minutes.
 *
 * @returns the names of the files applied now
 * @throws SetupError when an applied file has changed, when a version before 0.1.0 created the control store, or when
 * the role may not create the schema
 */
export async function migrate(
  pool: Pool,
  migrations?: readonly Migration[],
  log: Log = silentLog,
): Promise<readonly string[]> {
  const files = migrations ?? (await readMigrations());
  return withControlStore(pool, async (client) => {
    await client.query('set statement_timeout = 0; set search_path to tandem');
    await lockMigrations(client, log);
    const { pending } = compare(files, await readApplied(client));
    if (pending.length === 0) return [];
    // "if not exists" always needs the right to create schemas, which the owner of an existing schema may lack.
    const { rows } = await client.query<{ missing: boolean }>(
      `select to_regnamespace('tandem') is null as missing`,
    );
    if (rows[0]?.missing === true) await client.query('create schema tandem');
    await client.query(`create table if not exists tandem.migrations (
      name text primary key, sha256 text not null, applied_at timestamptz not null default now())`);
    await client.query(
      `comment on table tandem.migrations is 'Applied files of shared/control/migrations, each with its checksum.'`,
    );
    for (const file of files) {
      if (!pending.includes(file.name)) continue;
      log.info('migration.started', { name: file.name });
      await apply(client, file, log);
    }
    return pending;
  });
}

/**
 * Which migrations are applied. Changes nothing and waits for nothing.
 *
 * @throws SetupError like `migrate`
 */
export async function readMigrationStatus(
  pool: Pool,
  migrations?: readonly Migration[],
): Promise<MigrationStatus> {
  const files = migrations ?? (await readMigrations());
  return withControlStore(pool, async (client) => compare(files, await readApplied(client)));
}

/**
 * Prepares the control store at a service's start.
 *
 * @throws SetupError like `migrate`; with `check` also when migrations are missing
 */
export async function prepareControlStore(pool: Pool, mode: ControlMigrations, log?: Log): Promise<void> {
  if (mode === 'apply') {
    await migrate(pool, undefined, log);
    return;
  }
  const { pending } = await readMigrationStatus(pool);
  if (pending.length > 0) {
    throw new SetupError(
      `the control store lacks migrations, and CONTROL_MIGRATIONS=check forbids this service to apply them; run \`${MIGRATE_COMMAND}\` with a role that may, then start again`,
      pending,
    );
  }
}

async function readMigrations(): Promise<Migration[]> {
  const names = (await readdir(MIGRATIONS)).filter((name) => name.endsWith('.sql')).sort();
  return Promise.all(
    names.map(async (name) => ({ name, sql: await readFile(new URL(name, MIGRATIONS), 'utf8') })),
  );
}

/** Uses a connection of its own, so that its end always releases the advisory lock. */
async function withControlStore<T>(pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  try {
    return await work(client);
  } catch (error) {
    throw toSetupError(error);
  } finally {
    client.release(true);
  }
}

function toSetupError(error: unknown): unknown {
  const { code, message } = (error instanceof Error ? (error.cause ?? error) : {}) as {
    code?: string;
    message?: string;
  };
  if (code !== INSUFFICIENT_PRIVILEGE) return error;
  return new SetupError(
    `the control store's role lacks a privilege (${message}); run \`${MIGRATE_COMMAND}\` with a role that may create the schema, and grant the services theirs (deploy/README.md, "Upgrading")`,
  );
}

/** @returns empty for an empty control store */
async function readApplied(db: Queryable): Promise<readonly AppliedMigration[]> {
  // Read from the catalog, which also works for a role without privileges in the schema.
  const { rows: columns } = await db.query<{ attname: string }>(
    `select a.attname from pg_attribute a
       join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = 'tandem' and c.relname = 'migrations' and a.attnum > 0`,
  );
  if (columns.length === 0) return [];
  if (!columns.some(({ attname }) => attname === 'sha256')) {
    throw new SetupError(
      'a version before 0.1.0 made this control store, and no release upgrades it; start with an empty control store: set CONTROL_DATABASE_URL to an empty database, or drop the schema `tandem` in this one with all exports, bulk jobs, webhook endpoints and API keys in it',
    );
  }
  const { rows } = await db.query<AppliedMigration>(
    'select name, sha256, applied_at from tandem.migrations order by name',
  );
  return rows;
}

function compare(files: readonly Migration[], applied: readonly AppliedMigration[]): MigrationStatus {
  const known = new Map(files.map((file) => [file.name, file]));
  const changed = applied.filter(({ name, sha256 }) => {
    const file = known.get(name);
    return file !== undefined && checksum(file) !== sha256;
  });
  if (changed.length > 0) {
    throw new SetupError(
      'migrations differ from what was applied to this control store; install the release unchanged, and put a change of the schema into a file of its own',
      changed.map(({ name }) => `shared/control/migrations/${name} differs from what was applied`),
    );
  }
  const done = new Set(applied.map(({ name }) => name));
  return {
    applied: applied
      .filter(({ name }) => known.has(name))
      .map(({ name, applied_at }) => ({ name, appliedAt: applied_at })),
    pending: files.map(({ name }) => name).filter((name) => !done.has(name)),
    newer: applied.map(({ name }) => name).filter((name) => !known.has(name)),
  };
}

/** Of the text with Git's line ends, so that checkouts on all systems agree. */
function checksum({ sql }: Migration): string {
  return createHash('sha256').update(sql.replaceAll('\r\n', '\n')).digest('hex');
}

/**
 * Polls instead of waiting: the snapshot of a waiting statement would block `create index concurrently` in the other
 * process.
 */
async function lockMigrations(client: PoolClient, log: Log): Promise<void> {
  for (let polls = 0; ; polls += 1) {
    const { rows } = await client.query<{ is_locked: boolean }>(
      'select pg_try_advisory_lock($1) as is_locked',
      [ADVISORY_LOCKS.migrate],
    );
    if (rows[0]?.is_locked === true) return;
    if (polls === 0) log.info('migrations.awaited', {});
    await sleep(POLL_MS);
  }
}

async function apply(client: PoolClient, file: Migration, log: Log): Promise<void> {
  const what = `applying the migration ${file.name}`;
  try {
    await retry(
      {
        what,
        backoff: LOCK_BACKOFF,
        maxAttempts: LOCK_ATTEMPTS,
        isRetryable: (error) => ['lock', 'conflict'].includes(classifyTransient(error) ?? ''),
        log,
      },
      () => (file.sql.startsWith(NO_TRANSACTION) ? applyOneByOne(client, file) : applyAtOnce(client, file)),
    );
  } catch (cause) {
    if (classifyTransient(cause) !== 'lock') throw new Error(what, { cause });
    throw new SetupError(
      `${what}: a long transaction holds a lock that it needs; find it in pg_stat_activity, then try again`,
    );
  }
}

async function applyAtOnce(client: PoolClient, file: Migration): Promise<void> {
  try {
    await client.query('begin');
    await client.query(`set local lock_timeout = '${LOCK_TIMEOUT}'`);
    await client.query(file.sql);
    await noteApplied(client, file);
    await client.query('commit');
  } catch (error) {
    await client.query('rollback');
    throw error;
  }
}

/** Without a limit on waiting for locks: these statements block no reader and no writer. */
async function applyOneByOne(client: PoolClient, file: Migration): Promise<void> {
  for (const statement of file.sql.split(/;[ \t]*$/m)) await client.query(statement);
  await noteApplied(client, file);
}

async function noteApplied(client: PoolClient, file: Migration): Promise<void> {
  await client.query('insert into tandem.migrations (name, sha256) values ($1, $2)', [
    file.name,
    checksum(file),
  ]);
}
