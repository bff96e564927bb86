import type pg from 'pg';
import { Session } from '../../shared/postgres/session.ts';
import type { Env } from '../../shared/runtime/env.ts';
import { SetupError } from '../../shared/runtime/errors.ts';
import { SAMPLE_CATALOG } from './service-env.ts';

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

/** Runs `work` on one session of the source. @throws SetupError when it can't be reached */
export async function withSource<T>(
  databaseUrl: string,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = new Session({
    connectionString: databaseUrl,
    connectionTimeoutMillis: CONNECT_LIMIT_MS,
    application_name: 'tandem command',
  });
  try {
    await client.connect();
  } catch (cause) {
    const { host, port } = client;
    throw new SetupError(`the source at ${host}:${port} can't be reached: ${(cause as Error).message}`);
  }
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
