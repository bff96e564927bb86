import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import type { Pool, PoolClient } from 'pg';
import type { Queryable } from '../postgres/queryable.ts';
import type { EnvReader } from '../runtime/env.ts';
import { SetupError } from '../runtime/errors.ts';
import { ADVISORY_LOCKS } from './advisory-locks.ts';

const MIGRATIONS = new URL('./migrations/', import.meta.url);

const INSUFFICIENT_PRIVILEGE = '42501';

export const MIGRATE_COMMAND = 'tandem migrate apply';

/** What a service does at its start with a control store that lacks migrations: apply them, or refuse to start. */
export type ControlMigrations = 'apply' | 'check';

export function readControlMigrations(read: EnvReader): ControlMigrations {
  return read.oneOf('CONTROL_MIGRATIONS', ['apply', 'check'], 'apply');
}

/** A file of `migrations/`. Once it is applied somewhere it never changes; a change of the schema is another file. */
export interface Migration {
  readonly name: string;
  readonly sql: string;
}

export interface MigrationStatus {
  /** Applied to the control store, and part of this release. */
  readonly applied: readonly { readonly name: string; readonly appliedAt: Date }[];
  /** Of this release, and not applied. */
  readonly pending: readonly string[];
  /** Applied by a newer release. This release works with them, as old and new processes do during an upgrade. */
  readonly newer: readonly string[];
}

interface AppliedMigration {
  readonly name: string;
  readonly sha256: string;
  readonly applied_at: Date;
}

/**
 * Brings the control store's schema `tandem` up to date. Every service may call it at start: one migrates under an
 * advisory lock, the others wait and find nothing left. Each file is one transaction.
 *
 * @returns the names of the files that were applied now
 * @throws SetupError when an applied file was changed since, when a version before 0.1.0 made the control store, or when
 *   the role may not create the schema
 */
export async function migrate(pool: Pool, migrations?: readonly Migration[]): Promise<readonly string[]> {
  const files = migrations ?? (await readMigrations());
  return withControlStore(pool, async (client) => {
    await client.query('select pg_advisory_lock($1)', [ADVISORY_LOCKS.migrate]);
    const { pending } = compare(files, await readApplied(client));
    if (pending.length === 0) return [];
    // "if not exists" asks for the right to create schemas in any case, which the owner of an existing one need not have.
    const { rows } = await client.query<{ missing: boolean }>(
      `select to_regnamespace('tandem') is null as missing`,
    );
    if (rows[0]?.missing === true) await client.query('create schema tandem');
    await client.query(`create table if not exists tandem.migrations (
      name text primary key, sha256 text not null, applied_at timestamptz not null default now())`);
    await client.query(
      `comment on table tandem.migrations is 'Applied files of shared/control/migrations, each with its checksum.'`,
    );
    for (const file of files) if (pending.includes(file.name)) await apply(client, file);
    return pending;
  });
}

/**
 * What is applied to the control store, and what is not. Changes nothing and waits for nobody.
 *
 * @throws SetupError as `migrate`
 */
export async function readMigrationStatus(
  pool: Pool,
  migrations?: readonly Migration[],
): Promise<MigrationStatus> {
  const files = migrations ?? (await readMigrations());
  return withControlStore(pool, async (client) => compare(files, await readApplied(client)));
}

/**
 * What every service does with the control store first.
 *
 * @throws SetupError as `migrate`; with `check` also when migrations are missing
 */
export async function prepareControlStore(pool: Pool, mode: ControlMigrations): Promise<void> {
  if (mode === 'apply') {
    await migrate(pool);
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

/** A connection of its own, so that its end gives the advisory lock back whatever happened. */
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

/** Nothing of a control store that is empty. */
async function readApplied(db: Queryable): Promise<readonly AppliedMigration[]> {
  // From the catalog, which a role without privileges in the schema may read too.
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

/** Of the text with the line ends that Git keeps, so that a checkout on another system has the same. */
function checksum({ sql }: Migration): string {
  return createHash('sha256').update(sql.replaceAll('\r\n', '\n')).digest('hex');
}

async function apply(client: PoolClient, file: Migration): Promise<void> {
  try {
    await client.query('begin');
    await client.query('set local search_path to tandem');
    await client.query(file.sql);
    await client.query('insert into tandem.migrations (name, sha256) values ($1, $2)', [
      file.name,
      checksum(file),
    ]);
    await client.query('commit');
  } catch (cause) {
    await client.query('rollback');
    throw new Error(`applying the migration ${file.name}`, { cause });
  }
}
