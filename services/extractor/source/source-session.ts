import pg from 'pg';
import type { LockWatch } from '../../../shared/postgres/lock-watch.ts';
import { Session } from '../../../shared/postgres/session.ts';
import {
  rawTypes,
  seeExtensionOperators,
  TEXT_SESSION_OPTIONS,
} from '../../../shared/postgres/text-session.ts';
import type { Secret } from '../../../shared/runtime/env.ts';
import {
  ExportFailedError,
  SourceAwayError,
  SourceSessionLostError,
  TableWantedError,
  toSourceError,
} from '../extraction-errors.ts';
import {
  createConnection,
  createIdleConnections,
  type SourceConnection,
  type SourceIdentity,
} from './source-connection.ts';

export type SourceRole = 'primary' | 'replica';

/**
 * One connection to the source that is never shared and never silently replaced: a snapshot lives in it, and that it
 * stayed open is itself a proof. All values are PostgreSQL's texts.
 */
export interface SourceSession extends AsyncDisposable {
  /**
   * A replica is a hot standby: its snapshots see commits in WAL order, and do not show which transactions are open.
   */
  readonly role: SourceRole;
  readonly client: pg.Client;
  readonly identity: SourceIdentity;
  readonly backendPid: string;
  /**
   * Runs one statement at a time.
   *
   * @param name the connection keeps the plan under it, for a constant text that takes longer to plan than to run
   * @throws SourceSessionLostError, TableWantedError, or pg's DatabaseError for what the server refuses
   */
  query(text: string, values?: readonly unknown[], name?: string): Promise<SourceResult>;
  /**
   * Declares that the session has no open transaction and no temporary table. When it is disposed of, its connection is
   * kept for another session, because a new connection costs the server more than a small export. A later `query`
   * withdraws this.
   */
  leaveClean(): void;
}

/** `rowCount` is the command tag's number, which MOVE has too. */
export interface SourceResult {
  readonly rows: readonly Readonly<Record<string, string | null>>[];
  readonly rowCount: number;
}

export interface SessionOptions {
  /** What the session is for; shown in `pg_stat_activity` after `tandem extractor`. */
  readonly purpose: string;
  readonly statementTimeoutMs: number;
  /** Called once when the connection breaks or has to give way, before it is disposed of. */
  readonly onLost: (error: SourceSessionLostError | TableWantedError) => void;
}

/** A source database. Each session has a connection of its own. */
export type OpenSourceSession = (options: SessionOptions) => Promise<SourceSession>;

/** Keeps connections that were left clean for a few seconds, until it is disposed of. */
export type SourceSessions = OpenSourceSession & AsyncDisposable;

const CONNECT_TIMEOUT_MS = 10_000;

/**
 * A session of a process that died, froze or was cut off must not hold its snapshot for long, because vacuum waits for it:
 * the server ends it when nothing is asked for a minute (holders ask every ten seconds), when nobody takes the rows it
 * sends for a minute, when the network is silent for about a minute, and at the end of a statement's own limit.
 */
const SILENCE_LIMIT_MS = 60_000;

const SESSION_SETTINGS: Readonly<Record<string, string>> = {
  // A waiting lock request blocks the product's DDL on the tables that we have locked already, and the product's
  // statements queue behind us. Below PostgreSQL's deadlock_timeout of 1 s, so in a deadlock with a migration we always
  // give in first.
  lock_timeout: '500ms',
  tcp_keepalives_idle: '20',
  tcp_keepalives_interval: '10',
  tcp_keepalives_count: '4',
  // JIT compilation costs more than it saves in reads that are bound by the network.
  jit: 'off',
  // A table's chunks are read in parallel already. The server's own workers would add load at the product's cost.
  max_parallel_workers_per_gather: '0',
  // Every cursor here is read to its end.
  cursor_tuple_fraction: '1.0',
};

const IDENTIFY = `
select pg_is_in_recovery()::text as in_recovery, pg_backend_pid()::text as pid,
  (select system_identifier::text from pg_control_system()) as system_id,
  case when pg_is_in_recovery()
    then (select to_hex(greatest(c.timeline_id, r.min_recovery_end_timeline)) from pg_control_checkpoint() c, pg_control_recovery() r)
    else left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) end as timeline`;

/**
 * Limits for a server that waits for its client, either for a statement or for room for rows. A statement's own limit
 * does not end that wait.
 */
const silenceSettings = (limitMs: number): Readonly<Record<string, string>> => ({
  idle_in_transaction_session_timeout: `${limitMs}ms`,
  tcp_user_timeout: `${limitMs}ms`,
});

export interface SourceSessionsOptions {
  /** Only for the primary. */
  readonly lockWatch?: LockWatch;
  readonly silenceLimitMs?: number;
  readonly role?: SourceRole;
}

/**
 * @throws ExportFailedError on a hot standby that is not asked for as a replica
 * @throws SourceSessionLostError on a replica that was promoted
 */
export function createSourceSessions(
  connectionString: Secret,
  { lockWatch, silenceLimitMs = SILENCE_LIMIT_MS, role = 'primary' }: SourceSessionsOptions = {},
): SourceSessions {
  const idle = createIdleConnections();

  async function connect({ purpose, statementTimeoutMs }: SessionOptions): Promise<SourceConnection> {
    const settings = Object.entries({
      ...SESSION_SETTINGS,
      ...silenceSettings(silenceLimitMs),
      statement_timeout: `${statementTimeoutMs}ms`,
    });
    const client = new Session({
      connectionString: connectionString.reveal(),
      application_name: nameOf(purpose),
      options: `${TEXT_SESSION_OPTIONS} ${settings.map(([name, value]) => `-c ${name}=${value}`).join(' ')}`,
      types: rawTypes,
      keepAlive: true,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    });
    try {
      await client.connect();
      // Ends a long statement whose client is gone. Not every platform supports the setting.
      await client.query("set client_connection_check_interval = '5s'").catch(() => undefined);
      await seeExtensionOperators(client);
      return createConnection(client, await identify(client, role));
    } catch (error) {
      await client.end().catch(() => undefined);
      throw error;
    }
  }

  const open: OpenSourceSession = async (options) => {
    const { purpose, onLost } = options;
    let wanted: TableWantedError | undefined;
    let connection: SourceConnection | undefined;
    try {
      connection = (await idle.take((kept) => rename(kept, options, role))) ?? (await connect(options));
    } catch (error) {
      if (error instanceof ExportFailedError || error instanceof SourceSessionLostError) throw error;
      throw new SourceAwayError(purpose, { cause: error });
    }
    const { client, identity, backendPid } = connection;
    let isDisposed = false;
    let isClean = false;
    connection.onBroken((cause) => {
      if (!isDisposed && wanted === undefined) onLost(new SourceSessionLostError(purpose, { cause }));
    });
    const guard = lockWatch?.guard(Number(backendPid), ({ table, waitingPid }) => {
      wanted = new TableWantedError(purpose, {
        cause: new Error(`the server process ${waitingPid} waits for ${table}`),
      });
      if (!isDisposed) onLost(wanted);
    });
    return {
      role,
      client,
      identity,
      backendPid,
      async query(text, values, name) {
        isClean = false;
        if (isDisposed) throw new SourceSessionLostError(purpose, { cause: new Error('it is disposed of') });
        try {
          const result = await client.query<Record<string, string | null>>({
            text,
            ...(values === undefined ? {} : { values: [...values] }),
            ...(name === undefined ? {} : { name }),
          });
          return { rows: result.rows, rowCount: result.rowCount ?? 0 };
        } catch (cause) {
          if (wanted !== undefined) throw wanted;
          throw toSourceError(purpose, cause);
        }
      },
      leaveClean() {
        isClean = true;
      },
      async [Symbol.asyncDispose]() {
        // A second call must not affect a connection that serves another session by now.
        if (isDisposed) return;
        isDisposed = true;
        guard?.[Symbol.dispose]();
        if (isClean && wanted === undefined) idle.give(connection);
        else await connection.end();
      },
    };
  };
  return Object.assign(open, { [Symbol.asyncDispose]: () => idle[Symbol.asyncDispose]() });
}

const nameOf = (purpose: string) => `tandem extractor ${purpose}`;

const RENAME = `${IDENTIFY},
  set_config('application_name', $1, false), set_config('statement_timeout', $2, false)`;

/** Assigns an idle connection to another session. @throws when the connection is not usable any more */
async function rename(
  { client, identity, backendPid }: SourceConnection,
  { purpose, statementTimeoutMs }: SessionOptions,
  role: SourceRole,
): Promise<void> {
  const found = await identify(client, role, RENAME, [nameOf(purpose), `${statementTimeoutMs}ms`]);
  const isSame =
    found.backendPid === backendPid &&
    found.identity.systemId === identity.systemId &&
    found.identity.timeline === identity.timeline;
  if (!isSame) throw new Error('the connection leads to another server process than at its start');
}

/** @throws the errors of `createSourceSessions`, or those of the connection */
async function identify(
  client: pg.Client,
  role: SourceRole,
  text = IDENTIFY,
  values: readonly string[] = [],
): Promise<Pick<SourceConnection, 'identity' | 'backendPid'>> {
  const { rows } = await client.query<Record<string, string | null>>(text, [...values]);
  const { in_recovery: inRecovery, pid, system_id: systemId, timeline } = rows[0] ?? {};
  if (role === 'replica' && inRecovery !== 'true') {
    throw new Error('the replica is not a standby: set SOURCE_READ_URL to standbys of DATABASE_URL');
  }
  const isStandby = role === 'primary' && inRecovery !== 'false';
  if (isStandby || pid == null || systemId == null || timeline == null) {
    throw new ExportFailedError(
      'source_is_standby',
      'The source is a hot standby, whose snapshots do not say which transactions are open: ' +
        'set DATABASE_URL to the primary.',
    );
  }
  return { identity: { systemId, timeline: Number.parseInt(timeline, 16) }, backendPid: pid };
}

/** The SQLSTATE of `lock_timeout`. */
export const LOCK_NOT_AVAILABLE = '55P03';

/** The SQLSTATE of `statement_timeout`. */
export const QUERY_CANCELED = '57014';

/** Whether the server refused a statement with that code; see "PostgreSQL Error Codes" in its manual. */
export function isSqlState(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof pg.DatabaseError && error.code !== undefined && codes.includes(error.code);
}
