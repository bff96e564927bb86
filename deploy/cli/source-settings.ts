import type pg from 'pg';
import { createLockWatch, type WantedLock } from '../../shared/postgres/lock-watch.ts';
import { Session } from '../../shared/postgres/session.ts';
import { isLockTimeout, SHORT_LOCK_WAITS } from '../../shared/postgres/short-lock-waits.ts';
import { type Env, Secret } from '../../shared/runtime/env.ts';
import { SetupError } from '../../shared/runtime/errors.ts';
import { silentLog } from '../../shared/runtime/log.ts';
import { SAMPLE_CATALOG } from '../local/service-env.ts';

/** What the commands on a source need; the same variables and defaults as the services have. */
export interface SourceSettings {
  readonly databaseUrl: string;
  readonly catalogPath: string;
  readonly publication: string;
  readonly slot: string;
}

/** @throws SetupError when no source is named */
export function readSourceSettings(env: Env): SourceSettings {
  const get = (name: string) => env[name]?.trim() || undefined;
  const databaseUrl = get('DATABASE_URL');
  if (databaseUrl === undefined) {
    throw new SetupError(
      'DATABASE_URL is not set: it names the source, postgres://user:password@host:5432/database',
    );
  }
  return {
    databaseUrl,
    catalogPath: get('CATALOG') ?? SAMPLE_CATALOG,
    publication: get('PUBLICATION_NAME') ?? 'tandem',
    slot: get('SLOT_NAME') ?? 'tandem',
  };
}

const CONNECT_LIMIT_MS = 10_000;

/**
 * Runs `work` on one session of the source, which gives way to the product: it waits for no lock for long, and is ended when
 * another session waits for a table that it has locked.
 *
 * @throws SetupError when the source can't be reached, or the session gave way
 */
export async function withSource<T>(
  databaseUrl: string,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = new Session({
    connectionString: databaseUrl,
    connectionTimeoutMillis: CONNECT_LIMIT_MS,
    application_name: 'tandem command',
    options: SHORT_LOCK_WAITS,
  });
  try {
    await client.connect();
  } catch (cause) {
    const { host, port } = client;
    throw new SetupError(`the source at ${host}:${port} can't be reached: ${(cause as Error).message}`);
  }
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => client.end());
  let wanted: WantedLock | undefined;
  const lockWatch = cleanup.use(
    createLockWatch({
      databaseUrl: new Secret(databaseUrl),
      applicationName: 'tandem command lock watch',
      log: silentLog,
    }),
  );
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  using _guard = lockWatch.guard(rows[0]?.pid ?? 0, (lock) => {
    wanted = lock;
  });
  try {
    return await work(client);
  } catch (error) {
    throw wanted === undefined && !isLockTimeout(error) ? error : gaveWay(wanted);
  }
}

function gaveWay(wanted: WantedLock | undefined): SetupError {
  return new SetupError(
    wanted === undefined
      ? 'a table of the source stays locked by another session, probably an ALTER TABLE: run this again once it is done'
      : `the server process ${wanted.waitingPid} waits for ${wanted.table}, which this command locked, so it gave way: run it again`,
  );
}
