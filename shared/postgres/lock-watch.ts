import type pg from 'pg';
import type { Secret } from '../runtime/env.ts';
import type { Log } from '../runtime/log.ts';
import { sleep } from '../runtime/sleep.ts';
import { Session } from './session.ts';

/**
 * Sees to it that no session of ours holds up the product. A statement such as ALTER TABLE waits for every lock on its table,
 * and everybody else then waits behind it, readers too: one export would close a table for as long as it takes. So who waits
 * for a table of ours is noticed, and our session is ended.
 */
export interface LockWatch extends AsyncDisposable {
  /**
   * Guards a session until disposed. When another session waits for a table that this one keeps locked, `onWanted` is called
   * once, and the session is then ended by the server.
   */
  guard(backendPid: number, onWanted: (wanted: WantedLock) => void): Disposable;
}

/** Who waits for what. */
export interface WantedLock {
  readonly table: string;
  readonly waitingPid: number;
}

/** With the time that a session takes to end, a waiting statement is held up for about a second. */
const LOOK_MS = 400;

const CONNECT_LIMIT_MS = 5_000;

/** After a look that failed. */
const RETRY_MS = 2_000;

/**
 * Locks that rows are read and written under exclude none of each other; those asked for here are of DDL, VACUUM, or
 * LOCK TABLE (the weakest of them waits only for an index that we make). A waiter behind a waiter of ours is held up as well, which `pg_blocking_pids` knows. Not looked at is
 * CREATE INDEX CONCURRENTLY, which waits for old snapshots and holds up nobody meanwhile.
 */
const FIND_WANTED = `
select pid, waiting_pid, relation::regclass::text as "table"
from (
  select w.pid as waiting_pid, w.relation, unnest(pg_blocking_pids(w.pid)) as pid
  from pg_locks w
  where w.locktype = 'relation' and not w.granted and w.pid <> all ($1)
    and w.database = (select oid from pg_database where datname = current_database())
    and w.mode in ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
) blocked
where pid = any ($1)`;

export interface LockWatchOptions {
  readonly databaseUrl: Secret;
  readonly applicationName: string;
  readonly log: Log;
}

/** Costs the source nothing while no session is guarded, and one connection from the first on. */
export function createLockWatch({ databaseUrl, applicationName, log }: LockWatchOptions): LockWatch {
  const guarded = new Map<number, (wanted: WantedLock) => void>();
  const stopping = new AbortController();
  let client: pg.Client | undefined;
  let looking: Promise<void> | undefined;

  const connect = async (): Promise<pg.Client> => {
    if (client !== undefined) return client;
    const opened = new Session({
      connectionString: databaseUrl.reveal(),
      application_name: applicationName,
      connectionTimeoutMillis: CONNECT_LIMIT_MS,
      query_timeout: CONNECT_LIMIT_MS,
      keepAlive: true,
    });
    const forget = () => {
      if (client === opened) client = undefined;
    };
    opened.on('end', forget);
    await opened.connect();
    client = opened;
    return opened;
  };

  const look = async (): Promise<void> => {
    const db = await connect();
    const { rows } = await db.query<{ pid: number; waiting_pid: number; table: string }>(FIND_WANTED, [
      [...guarded.keys()],
    ]);
    for (const { pid, waiting_pid: waitingPid, table } of rows) {
      const onWanted = guarded.get(pid);
      if (onWanted === undefined) continue;
      guarded.delete(pid);
      log.warn('source_lock.given_up', { table, backendPid: pid, waitingPid });
      onWanted({ table, waitingPid });
      // A session in the middle of a long statement would read our wish to end only after it.
      await db.query('select pg_terminate_backend($1)', [pid]);
    }
  };

  const lookWhileGuarding = async (): Promise<void> => {
    while (guarded.size > 0 && !stopping.signal.aborted) {
      await sleep(LOOK_MS, stopping.signal);
      if (guarded.size === 0 || stopping.signal.aborted) break;
      try {
        await look();
      } catch (error) {
        log.warn('source_lock.check_failed', { error });
        await client?.end().catch(() => undefined);
        client = undefined;
        await sleep(RETRY_MS, stopping.signal);
      }
    }
    looking = undefined;
  };

  return {
    guard(backendPid, onWanted) {
      guarded.set(backendPid, onWanted);
      looking ??= lookWhileGuarding();
      return {
        [Symbol.dispose]() {
          if (guarded.get(backendPid) === onWanted) guarded.delete(backendPid);
        },
      };
    },
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await looking;
      await client?.end().catch(() => undefined);
    },
  };
}

/** Guards each connection of a pool while it is in use. One that was ended fails its query, and the pool replaces it. */
export function guardPool(pool: pg.Pool, watch: LockWatch): void {
  const guards = new Map<pg.PoolClient, Disposable>();
  pool.on('acquire', (client) => {
    const { processID } = client as unknown as { processID: number | null };
    if (processID !== null)
      guards.set(
        client,
        watch.guard(processID, () => undefined),
      );
  });
  pool.on('release', (_error, client) => {
    guards.get(client)?.[Symbol.dispose]();
    guards.delete(client);
  });
}
