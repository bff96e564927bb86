import type pg from 'pg';
import { reveal, type Secret } from '../runtime/env.ts';
import type { Log } from '../runtime/log.ts';
import { ConnectionPool } from './connection-pool.ts';

export interface PoolOptions {
  /** Shown in `pg_stat_activity`, so that an operator sees whose session it is. */
  applicationName: string;
  /** Greatest number of connections. */
  max?: number;
  statementTimeoutMs?: number;
  /** A statement without an answer for so long fails, and its connection is given up, also when the network swallows all. */
  answerTimeoutMs?: number;
}

/**
 * Longer than what comes in bursts pauses, as deliveries that time out together every 15 s: a connection that is opened again costs
 * both sides more than a hundred statements, and its statements are prepared anew.
 */
const IDLE_MS = 120_000;

/**
 * A pool on the control store. Its sessions find Tandem's tables without naming the schema.
 * A connection that breaks while idle is logged and replaced; it never ends the process.
 */
export function createControlPool(url: Secret | string, log: Log, options: PoolOptions): pg.Pool {
  const pool = new ConnectionPool({
    connectionString: reveal(url),
    max: options.max ?? 10,
    application_name: options.applicationName,
    options:
      '-c search_path=tandem,public -c DateStyle=ISO,MDY -c IntervalStyle=postgres -c TimeZone=UTC -c bytea_output=hex',
    statement_timeout: options.statementTimeoutMs ?? 30_000,
    idle_in_transaction_session_timeout: 30_000,
    idleTimeoutMillis: IDLE_MS,
    connectionTimeoutMillis: options.answerTimeoutMs ?? 10_000,
    ...(options.answerTimeoutMs === undefined ? {} : { query_timeout: options.answerTimeoutMs }),
    keepAlive: true,
  });
  pool.on('error', (error) => log.warn('control_connection.lost', { error }));
  return pool;
}
