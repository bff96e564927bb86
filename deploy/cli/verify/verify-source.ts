import type pg from 'pg';
import type { TableName } from '../../../shared/domain/catalog.ts';
import { createLockWatch, type WantedLock } from '../../../shared/postgres/lock-watch.ts';
import { quoteTable } from '../../../shared/postgres/quote.ts';
import { Session } from '../../../shared/postgres/session.ts';
import { isLockTimeout, SHORT_LOCK_WAITS } from '../../../shared/postgres/short-lock-waits.ts';
import {
  rawTypes,
  seeExtensionOperators,
  TEXT_SESSION_OPTIONS,
} from '../../../shared/postgres/text-session.ts';
import { Secret } from '../../../shared/runtime/env.ts';
import { silentLog } from '../../../shared/runtime/log.ts';
import { sleep } from '../../../shared/runtime/sleep.ts';
import { CouldNotTellError } from './verify-api.ts';

/** The session that the source is read in. It is ended when the product waits for a table that it has locked. */
export interface VerifySource extends AsyncDisposable {
  /** Reads raw texts, and nothing else than reads. */
  readonly client: pg.Client;
  /** Says why, when the error comes from having given way; any other error is given back as it is. */
  explain(error: unknown): unknown;
}

/** @throws CouldNotTellError when the source can't be reached */
export async function openVerifySource(connectionString: string): Promise<VerifySource> {
  await using unlessOpened = new AsyncDisposableStack();
  const client = new Session({
    connectionString,
    application_name: 'tandem verify',
    options: `${TEXT_SESSION_OPTIONS} ${SHORT_LOCK_WAITS} -c default_transaction_read_only=on`,
    types: rawTypes,
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
  });
  unlessOpened.defer(() => client.end());
  let pid: string | undefined;
  try {
    await client.connect();
    await seeExtensionOperators(client);
    const { rows } = await client.query<{ pid: string }>('select pg_backend_pid()::text as pid');
    pid = rows[0]?.pid;
  } catch (cause) {
    throw new CouldNotTellError(`the source at ${client.host}:${client.port} can't be reached`, { cause });
  }
  let wanted: WantedLock | undefined;
  const lockWatch = unlessOpened.use(
    createLockWatch({
      databaseUrl: new Secret(connectionString),
      applicationName: 'tandem verify lock watch',
      log: silentLog,
    }),
  );
  unlessOpened.use(
    lockWatch.guard(Number(pid), (lock) => {
      wanted = lock;
    }),
  );
  const held = unlessOpened.move();
  return {
    client,
    explain: (error) =>
      wanted === undefined
        ? error
        : new CouldNotTellError(
            `the server process ${wanted.waitingPid} waits for ${wanted.table}, so the comparison gave way to it: verify once more`,
            { cause: error },
          ),
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

const LOCK_TRIES = 20;
const LOCK_PAUSE_MS = 500;

/**
 * Begins the transaction that is compared, with the tables locked ahead of its snapshot: a TRUNCATE or a rewriting ALTER TABLE
 * between the two would show a table without rows, and so differences that are none.
 *
 * @throws CouldNotTellError when a table stays locked
 */
export async function beginWithTables(
  client: pg.Client,
  tables: readonly TableName[],
  signal: AbortSignal,
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    await client.query('begin isolation level repeatable read, read only');
    try {
      await client.query(`lock table ${tables.map(quoteTable).join(', ')} in access share mode`);
      return;
    } catch (error) {
      if (!isLockTimeout(error)) throw error;
      await client.query('rollback');
      signal.throwIfAborted();
      if (attempt === LOCK_TRIES) {
        throw new CouldNotTellError(
          'a table stays locked by another session, probably an ALTER TABLE: verify once more when it is done',
          { cause: error },
        );
      }
      await sleep(LOCK_PAUSE_MS, signal);
    }
  }
}
