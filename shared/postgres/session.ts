import type { ConnectionOptions } from 'node:tls';
import pg from 'pg';
import { readConnectionUrl } from './connection-url.ts';
import { wantsTls } from './settle-tls.ts';
import { SESSION_OPTIONS } from './text-session.ts';

/** Settings that only newer servers know, by the first major that does: an unknown one at start-up refuses the connection. */
const NEWER_SETTINGS: readonly { readonly since: number; readonly statement: string }[] = [
  { since: 17, statement: 'set transaction_timeout = 0' },
];

/** What `pg` needs to make a session of ours from the caller's wishes. Also the configuration of a pool. */
export function sessionConfig<Config extends pg.ClientConfig>(config: Config): Config & SessionExtras {
  if (config.connectionString === undefined) return { ...config, options: joined(config.options) };
  const { connectionString, ssl, isTlsOptional, options } = readConnectionUrl(config.connectionString);
  return {
    ...config,
    connectionString,
    options: joined(options, config.options),
    ...(ssl === undefined ? {} : { ssl }),
    isTlsOptional,
  };
}

interface SessionExtras {
  readonly isTlsOptional?: boolean;
}

function joined(...options: readonly (string | undefined)[]): string {
  return [options.length > 1 ? options[0] : undefined, SESSION_OPTIONS, options.at(-1)]
    .filter((each) => each)
    .join(' ');
}

/** The connection broke, or gave no answer in time. pg's own error has neither a class nor a code, like a bug. */
export class ConnectionLostError extends Error {
  override readonly name = 'ConnectionLostError';
}

/** Errors of Node and of the server have a code, and a wrong argument is a TypeError. pg's others are lost connections. */
function withClass(error: unknown): unknown {
  const isOfConnection =
    error instanceof Error &&
    !('code' in error) &&
    !(error instanceof TypeError || error instanceof RangeError);
  return isOfConnection ? new ConnectionLostError(error.message, { cause: error }) : error;
}

/** Gives errors of lost connections a class. Queries with a callback or a stream are left as they are. */
function tellLostConnections(query: pg.Client['query']): pg.Client['query'] {
  return ((...args: Parameters<pg.Client['query']>) => {
    const result: unknown = query(...args);
    if (!(result instanceof Promise)) return result;
    return result.catch((error: unknown) => {
      throw withClass(error);
    });
  }) as pg.Client['query'];
}

/**
 * The only kind of connection to a database that Tandem opens, alone or in a `ConnectionPool`: it reads its URL as libpq does,
 * and no limit or default of its role reaches it.
 */
export class Session extends pg.Client {
  readonly #isTlsOptional: boolean;
  readonly #connectLimitMs: number;

  constructor(config: pg.ClientConfig) {
    // A pool has prepared its configuration once for all of its sessions.
    const own =
      'isTlsOptional' in config ? (config as pg.ClientConfig & SessionExtras) : sessionConfig(config);
    super(own);
    this.#isTlsOptional = own.isTlsOptional ?? false;
    this.#connectLimitMs = own.connectionTimeoutMillis || CONNECT_LIMIT_MS;
    // A connection that breaks between two statements says so by an event alone, and an event of this name that nobody
    // hears ends the process. A pool listens only while the connection is idle. The next statement fails by itself.
    this.on('error', () => undefined);
    this.query = tellLostConnections(this.query.bind(this));
  }

  override connect(): Promise<this>;
  override connect(callback: OnConnected): void;
  override connect(callback?: OnConnected): Promise<this> | undefined {
    const connected = this.#open();
    if (callback === undefined) return connected;
    const tell = callback as (error: Error | null, client?: pg.Client) => void;
    connected.then(
      () => tell(null, this),
      (error: Error) => tell(error),
    );
    return undefined;
  }

  override end(): Promise<void>;
  override end(callback: (error: Error) => void): void;
  override end(callback?: (error: Error) => void): Promise<void> | undefined {
    const hangUp = setTimeout(() => this.connection.stream.destroy(), END_LIMIT_MS).unref();
    this.connection.once('end', () => clearTimeout(hangUp));
    if (callback === undefined) return super.end();
    super.end(callback);
    return undefined;
  }

  async #open(): Promise<this> {
    if (this.#isTlsOptional) await this.#settleTls();
    let major = 0;
    const onParameter = ({ parameterName, parameterValue }: ServerParameter) => {
      if (parameterName === 'server_version') major = Number.parseInt(parameterValue, 10);
    };
    this.connection.on('parameterStatus', onParameter);
    await super.connect();
    this.connection.off('parameterStatus', onParameter);
    try {
      for (const { since, statement } of NEWER_SETTINGS) {
        if (major >= since) await this.query(statement);
      }
    } catch (error) {
      await this.end().catch(() => undefined);
      throw error;
    }
    return this;
  }

  async #settleTls(): Promise<void> {
    const { host, port, user = '', database = user } = this;
    const internals = this as unknown as { ssl: ConnectionOptions | false; connection: { ssl: unknown } };
    const target = { host, port, user, database, ssl: internals.ssl || {} };
    if (await wantsTls(target, this.#connectLimitMs)) return;
    internals.ssl = false;
    internals.connection.ssl = false;
  }
}

type OnConnected = ((error: Error) => void) | ((error: null, client: pg.Client) => void);

interface ServerParameter {
  readonly parameterName: string;
  readonly parameterValue: string;
}

const CONNECT_LIMIT_MS = 10_000;

/** A server closes a connection at once when asked to. Over a network that has fallen silent it never hears of it. */
const END_LIMIT_MS = 2_000;
