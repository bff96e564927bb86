import type { Pool } from 'pg';
import { readTableFacts } from '../../../shared/catalog/table-facts.ts';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { runRounds } from '../../../shared/runtime/run-rounds.ts';
import type { Worker } from '../../../shared/runtime/worker.ts';
import type { OpenSourceSession } from '../source/source-session.ts';
import { findUnrecordedAccounts, saveRecordingStart } from '../store/feed-state.ts';
import { readTime, recordTables } from './table-history.ts';

export interface WatchHistoryDeps {
  readonly control: Pool;
  readonly openSession: OpenSourceSession;
  readonly catalog: Catalog;
  readonly publicationName: string;
  readonly log: Log;
}

/** A new account's past begins when it is first seen, so it is looked for often; the look is one small query. */
const ACCOUNTS_MS = 1_000;

/** After an ALTER TABLE, exports of moments within such a time before and after it are refused. */
const TABLES_MS = 30_000;

/** The source or the store may be away for a while. */
const REST_MS = 5_000;

const STATEMENT_TIMEOUT_MS = 10_000;

/**
 * Notes what nobody could find out later: from when on an account's changes are recorded, and since when the tables have
 * been what they are. Exports of a past moment rest on both.
 */
export function createHistoryWatch({
  control,
  openSession,
  catalog,
  publicationName,
  log,
}: WatchHistoryDeps): Worker {
  const { promise: ready, resolve: markReady } = Promise.withResolvers<void>();
  let nextTablesAtMs = 0;

  async function check(): Promise<void> {
    const accountIds = await findUnrecordedAccounts(control);
    const isTimeForTables = Date.now() >= nextTablesAtMs;
    if (accountIds.length === 0 && !isTimeForTables) return;
    await using session = await openSession({
      purpose: 'history',
      statementTimeoutMs: STATEMENT_TIMEOUT_MS,
      onLost: () => undefined,
    });
    if (accountIds.length > 0) await saveRecordingStart(control, session, accountIds);
    if (!isTimeForTables) return;
    const facts = await readTableFacts(session.client, catalog.resources, publicationName);
    await recordTables(control, session, catalog.resources, { seenAt: await readTime(session), facts });
    nextTablesAtMs = Date.now() + TABLES_MS;
  }

  return {
    name: 'history-watch',
    ready,
    run(signal) {
      // What is noted later is only known from later on; nothing else depends on it.
      const onFailed = (error: unknown) => log.warn('history.not_recorded', { error, restMs: REST_MS });
      const rounds = { restMs: ACCOUNTS_MS, retryMs: REST_MS, onFailed };
      return runRounds(() => check().finally(markReady), rounds, signal);
    },
  };
}
