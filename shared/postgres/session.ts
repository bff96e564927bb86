import net from 'node:net';
import pg from 'pg';
import { readConnectionUrl } from './connection-url.ts';
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

  /** `pg` knows TLS or none. So the server is asked first what it offers, as libpq does on the connection itself. */
  async #settleTls(): Promise<void> {
    const offersTls = await asksForTls(this.host, this.port, this.#connectLimitMs);
    if (offersTls) return;
    const internals = this as unknown as { ssl: unknown; connection: { ssl: unknown } };
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

/** A server closes a connection at once when it is told to. Over a network that has fallen silent it never hears of it. */
const END_LIMIT_MS = 2_000;

/** What a server offers changes with a restart of it at most. */
const ANSWER_KEPT_MS = 60_000;

const answers = new Map<string, { readonly offersTls: boolean; readonly atMs: number }>();

/** Length and code of PostgreSQL's SSLRequest. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);

/** False also where nothing answers: the connection itself then says what is wrong. A local socket needs no TLS. */
async function asksForTls(host: string, port: number, limitMs: number): Promise<boolean> {
  if (host.startsWith('/')) return false;
  const key = `${host} ${port}`;
  const known = answers.get(key);
  if (known !== undefined && Date.now() - known.atMs < ANSWER_KEPT_MS) return known.offersTls;
  const answer = await new Promise<string | undefined>((resolve) => {
    const socket = net.connect({ host, port });
    const end = (found?: string) => {
      resolve(found);
      socket.destroy();
    };
    socket.setTimeout(limitMs, () => end());
    socket.once('connect', () => socket.write(SSL_REQUEST));
    socket.once('data', (data) => end(String.fromCharCode(data[0] ?? 0)));
    socket.once('error', () => end());
    socket.once('close', () => end());
  });
  if (answer === undefined) return false;
  const offersTls = answer === 'S';
  answers.set(key, { offersTls, atMs: Date.now() });
  return offersTls;
}
