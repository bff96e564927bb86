import type pg from 'pg';
import { ConnectionPool } from '../postgres/pool.ts';
import { rawTypes, seeExtensionOperators, TEXT_SESSION_OPTIONS } from '../postgres/text-session.ts';
import type { Secret } from '../runtime/env.ts';
import type { Log } from '../runtime/log.ts';

/** A chunk's statement must be over, or undone, well before its lease is. */
export const STATEMENT_TIMEOUT_MS = 10_000;

/** Rows are never waited for; this bounds what is left: ledger rows of another worker at the same chunk, foreign keys. */
const LOCK_TIMEOUT_MS = 2_000;

const CONNECT_TIMEOUT_MS = 5_000;

/** Connections that change the source's rows. All values come as PostgreSQL's texts. */
export function createSourcePool(
  connectionString: Secret,
  log: Log,
  {
    applicationName,
    max,
    connectTimeoutMs = CONNECT_TIMEOUT_MS,
  }: { applicationName: string; max: number; connectTimeoutMs?: number },
): pg.Pool {
  const settings = `-c statement_timeout=${STATEMENT_TIMEOUT_MS} -c lock_timeout=${LOCK_TIMEOUT_MS}
    -c idle_in_transaction_session_timeout=${STATEMENT_TIMEOUT_MS} -c jit=off`.replace(/\s+/g, ' ');
  const pool = new ConnectionPool({
    connectionString: connectionString.reveal(),
    max,
    application_name: applicationName,
    options: `${TEXT_SESSION_OPTIONS} ${settings}`,
    types: rawTypes,
    keepAlive: true,
    connectionTimeoutMillis: connectTimeoutMs,
  });
  pool.on('error', (error) => log.warn('source_connection.lost', { error }));
  // Ahead of whatever the connection was opened for, which waits in its queue. One that fails here is of no use.
  pool.on('connect', (client) => {
    seeExtensionOperators(client).catch((error: unknown) => {
      log.warn('source_connection.lost', { error });
      return client.end();
    });
  });
  return pool;
}
