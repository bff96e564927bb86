import pg from 'pg';
import type { LockWatch } from '../../../shared/postgres/lock-watch.ts';
import { Session } from '../../../shared/postgres/session.ts';
import {
  rawTypes,
  seeExtensionOperators,
  TEXT_SESSION_OPTIONS,
} from '../../../shared/postgres/text-session.ts';
import type { Secret } from '../../../shared/runtime/env.ts';
import { ExportFailedError, SourceSessionLostError, TableWantedError } from '../extraction-errors.ts';

/** The server a session is on. Two sessions of one export must agree on it, and the feed with both. */
export interface SourceIdentity {
  readonly systemId: string;
  readonly timeline: number;
}

export type SourceRole = 'primary' | 'replica';

/**
 * One connection to the source that is never shared and never silently replaced: a snapshot lives in it, and that it
 * stayed open is itself a proof. All values are PostgreSQL's texts.
 */
export interface SourceSession extends AsyncDisposable {
  /** A replica is a hot standby: its snapshots see commits in the order of the WAL, and do not say which transactions are open. */
  readonly role: SourceRole;
  readonly client: pg.Client;
  readonly identity: SourceIdentity;
  readonly backendPid: string;
  /** One statement at a time. @throws SourceSessionLostError, TableWantedError, or pg's DatabaseError for what the server refuses */
  query(text: string, values?: readonly unknown[]): Promise<SourceResult>;
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
  /** Called once when the connection breaks, or has to give way, before it is disposed. */
  readonly onLost: (error: SourceSessionLostError | TableWantedError) => void;
}

/** A source database; whoever opens a session on it gets a new connection. */
export type OpenSourceSession = (options: SessionOptions) => Promise<SourceSession>;

const CONNECT_TIMEOUT_MS = 10_000;

/**
 * A session of a process that died, froze or was cut off must not hold its snapshot for long, because vacuum waits for it:
 * the server ends it when nothing is asked for a minute (holders ask every ten seconds), when nobody takes the rows it
 * sends for a minute, when the network is silent for about a minute, and at the end of a statement's own limit.
 */
const SILENCE_LIMIT_MS = 60_000;

const SESSION_SETTINGS: Readonly<Record<string, string>> = {
  // Who waits for a lock holds up the product's DDL on the tables that it has locked already, and its own statements behind
  // us. Below PostgreSQL's deadlock_timeout of 1 s, so that in a deadlock with a migration it is always us who give in.
  lock_timeout: '500ms',
  tcp_keepalives_idle: '20',
  tcp_keepalives_interval: '10',
  tcp_keepalives_count: '4',
  // Compiling costs more than it saves in reads that are bound by the network.
  jit: 'off',
  // A table is shared by readers of its chunks; workers of the server's own would come on top of them, at the product's cost.
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

/** Of a server that waits for its client, be it for a statement or for room for rows, which no statement's limit ends. */
const silenceSettings = (limitMs: number): Readonly<Record<string, string>> => ({
  idle_in_transaction_session_timeout: `${limitMs}ms`,
  tcp_user_timeout: `${limitMs}ms`,
});

export interface SourceSessionsOptions {
  /** Of the primary. */
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
): OpenSourceSession {
  return async ({ purpose, statementTimeoutMs, onLost }) => {
    let isDisposed = false;
    let wanted: TableWantedError | undefined;
    let guard: Disposable | undefined;
    const settings = Object.entries({
      ...SESSION_SETTINGS,
      ...silenceSettings(silenceLimitMs),
      statement_timeout: `${statementTimeoutMs}ms`,
    });
    const client = new Session({
      connectionString: connectionString.reveal(),
      application_name: `tandem extractor ${purpose}`,
      options: `${TEXT_SESSION_OPTIONS} ${settings.map(([name, value]) => `-c ${name}=${value}`).join(' ')}`,
      types: rawTypes,
      keepAlive: true,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    });
    client.on('error', (cause) => {
      if (!isDisposed && wanted === undefined) onLost(new SourceSessionLostError(purpose, { cause }));
    });
    const query: SourceSession['query'] = async (text, values) => {
      try {
        const result = await client.query<Record<string, string | null>>(text, values && [...values]);
        return { rows: result.rows, rowCount: result.rowCount ?? 0 };
      } catch (cause) {
        if (wanted !== undefined) throw wanted;
        throw cause instanceof pg.DatabaseError ? cause : new SourceSessionLostError(purpose, { cause });
      }
    };
    const dispose = async () => {
      isDisposed = true;
      guard?.[Symbol.dispose]();
      await client.end().catch(() => undefined);
    };
    try {
      await client.connect();
      // Ends a long statement whose client is gone; not every server's platform has it.
      await client.query("set client_connection_check_interval = '5s'").catch(() => undefined);
      await seeExtensionOperators(client);
      const { rows } = await query(IDENTIFY);
      const { in_recovery: inRecovery, pid, system_id: systemId, timeline } = rows[0] ?? {};
      if (role === 'replica' && inRecovery !== 'true') {
        throw new Error('the replica is no standby: set SOURCE_READ_URL to standbys of DATABASE_URL');
      }
      const isStandby = role === 'primary' && inRecovery !== 'false';
      if (isStandby || pid == null || systemId == null || timeline == null) {
        throw new ExportFailedError(
          'source_is_standby',
          'The source is a hot standby, whose snapshots do not say which transactions are open: ' +
            'set DATABASE_URL to the primary.',
        );
      }
      guard = lockWatch?.guard(Number(pid), ({ table, waitingPid }) => {
        wanted = new TableWantedError(purpose, {
          cause: new Error(`the server process ${waitingPid} waits for ${table}`),
        });
        if (!isDisposed) onLost(wanted);
      });
      return {
        role,
        client,
        identity: { systemId, timeline: Number.parseInt(timeline, 16) },
        backendPid: pid,
        query,
        [Symbol.asyncDispose]: dispose,
      };
    } catch (error) {
      await dispose();
      if (error instanceof ExportFailedError || error instanceof SourceSessionLostError) throw error;
      throw new SourceSessionLostError(purpose, { cause: error });
    }
  };
}

/** What `lock_timeout` ends with. */
export const LOCK_NOT_AVAILABLE = '55P03';

/** What `statement_timeout` ends with. */
export const QUERY_CANCELED = '57014';

/** Whether the server refused a statement with that code; see "PostgreSQL Error Codes" in its manual. */
export function isSqlState(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof pg.DatabaseError && error.code !== undefined && codes.includes(error.code);
}
