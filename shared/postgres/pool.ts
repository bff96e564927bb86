import pg, { type PoolClient } from 'pg';
import { reveal, type Secret } from '../runtime/env.ts';
import type { Log } from '../runtime/log.ts';
import { Session, sessionConfig } from './session.ts';

/** No connection came free, or could be opened, in the time that its pool gives it: too much is asked for at once. */
export class PoolBusyError extends Error {
  override readonly name = 'PoolBusyError';
}

type OnConnected = (
  error: Error | undefined,
  client: PoolClient | undefined,
  done: (release?: unknown) => void,
) => void;

/** Classes of errors after which a session is of no more use: lost connections, a server that has no room or stops, its own faults. */
const FATAL_CLASS = /^(08|53|57P|58|F0|XX)/;

/**
 * A pool of `Session`s. pg's pool tells a wait in vain by its message alone. Here it has a class, for `query` as for `connect`. And it throws the
 * connection away after any error: here one that PostgreSQL has only refused a statement on is kept, so that refused
 * requests, however many, cost no new connections.
 */
export class ConnectionPool extends pg.Pool {
  constructor(config: pg.PoolConfig) {
    super({ ...sessionConfig(config), Client: Session as unknown as new () => pg.Client });
  }

  override connect(): Promise<PoolClient>;
  override connect(callback: OnConnected): void;
  override connect(callback?: OnConnected): Promise<PoolClient> | undefined {
    if (callback === undefined) {
      return super.connect().catch((error: unknown) => {
        throw this.#told(error);
      });
    }
    super.connect((error, client, done) => callback(error && this.#told(error), client, done));
    return undefined;
  }

  // biome-ignore lint/suspicious/noExplicitAny: pg declares it with ten overloads, of which those with promises are used.
  override async query(...args: any[]): Promise<any> {
    const client = await this.connect();
    let isBroken = true;
    try {
      const result = await Reflect.apply(client.query, client, args);
      isBroken = false;
      return result;
    } catch (error) {
      isBroken = !(error instanceof pg.DatabaseError) || FATAL_CLASS.test(error.code ?? 'XX');
      throw error;
    } finally {
      client.release(isBroken);
    }
  }

  /** Everything else that goes wrong with a connection has a code, of Node's or of the server's; but for the end of the pool. */
  #told<T>(error: T): T | PoolBusyError {
    if (!(error instanceof Error) || 'code' in error || this.ending) return error;
    return new PoolBusyError('no connection came free in time', { cause: error });
  }
}

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
 * both sides more than a hundred statements, and its statements are prepared again.
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
