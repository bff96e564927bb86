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

/** A pool of `Session`s. pg's pool tells a wait in vain by its message alone. Here it has a class, for `query` as for `connect`. */
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

  /** Everything else that goes wrong with a connection has a code, of Node's or of the server's; but for the end of the pool. */
  #told<T>(error: T): T | PoolBusyError {
    if (!(error instanceof Error) || 'code' in error || this.ending) return error;
    return new PoolBusyError('no connection came free in time', { cause: error });
  }
}
