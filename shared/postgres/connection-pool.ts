import pg, { type PoolClient } from 'pg';
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
