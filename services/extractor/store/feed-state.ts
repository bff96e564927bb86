import { formatLsn, type Lsn, parseLsn } from '../../../shared/domain/lsn.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { createGather } from '../../../shared/runtime/gather.ts';
import type { SourceSession } from '../source/source-session.ts';

/** The state of the feed, as the dispatcher mirrors it from capture. */
export interface FeedState {
  /** Every transaction at or before this position is visible to every later snapshot. */
  readonly settledLsn: Lsn;
  /** Every transaction at or before this position is in the changes topic. */
  readonly passedLsn: Lsn;
  readonly systemId: string;
  readonly timeline: number;
}

/** Undefined until capture and a dispatcher have run for the first time. */
export async function readFeedState(db: Queryable): Promise<FeedState | undefined> {
  const { rows } = await db.query<{
    settled_lsn: string;
    passed_lsn: string;
    system_id: string;
    timeline: number;
  }>({
    name: 'read_feed_state',
    text: 'select settled_lsn::text, passed_lsn::text, system_id, timeline from feed_state',
  });
  const row = rows[0];
  if (row === undefined) return undefined;
  return {
    settledLsn: parseLsn(row.settled_lsn),
    passedLsn: parseLsn(row.passed_lsn),
    systemId: row.system_id,
    timeline: row.timeline,
  };
}

/** Runs that wait for the feed at the same time share a query. */
export function createFeedStateReader(db: Queryable): () => Promise<FeedState | undefined> {
  const read = createGather(async (asked: readonly undefined[]) => {
    const state = await readFeedState(db);
    return asked.map(() => state);
  });
  return () => read(undefined);
}

/** The resources whose changes are skipped at present. */
export async function findSetAside(db: Queryable): Promise<ReadonlySet<string>> {
  const { rows } = await db.query<{ resource: string }>(
    'select resource from feed_set_aside where until_lsn is null',
  );
  return new Set(rows.map(({ resource }) => resource));
}

/** Since when the changes of one export's accounts are recorded. */
export interface RecordingState {
  /** Accounts without an earlier export: their changes before now are unknown. */
  readonly newAccountIds: readonly string[];
  /** The latest start among the other accounts; 0 when there are none. */
  readonly recordedFrom: Lsn;
}

/** `accountId` null: all accounts. */
export async function readRecordingState(db: Queryable, accountId: string | null): Promise<RecordingState> {
  const { rows } = await db.query<{ new_ids: string[]; recorded_from: string | null }>(
    `select coalesce(array_agg(id) filter (where recorded_from_lsn is null), '{}') as new_ids,
       max(recorded_from_lsn)::text as recorded_from
     from accounts where $1::text is null or id = $1`,
    [accountId],
  );
  const { new_ids: newAccountIds = [], recorded_from: from = null } = rows[0] ?? {};
  return { newAccountIds, recordedFrom: from === null ? 0n : parseLsn(from) };
}

/** Stores from where on every change is recorded. An account with a start keeps it. */
export async function startRecording(db: Queryable, accountIds: readonly string[], from: Lsn): Promise<void> {
  await db.query(
    'update accounts set recorded_from_lsn = $2::pg_lsn where id = any($1) and recorded_from_lsn is null',
    [accountIds, formatLsn(from)],
  );
}

/** Accounts without a stored time from which their changes are recorded. */
export async function findUnrecordedAccounts(db: Queryable): Promise<string[]> {
  const { rows } = await db.query<{ id: string }>({
    name: 'find_unrecorded_accounts',
    text: 'select id from accounts where recorded_from_at is null limit 1000',
  });
  return rows.map(({ id }) => id);
}

/**
 * Stores from where and when on the changes of these known accounts are recorded. The clock is read after the WAL
 * position, so what commits later than that time comes after that position.
 */
export async function saveRecordingStart(
  db: Queryable,
  source: Pick<SourceSession, 'query'>,
  accountIds: readonly string[],
): Promise<void> {
  const { rows } = await source.query(
    'select pg_current_wal_insert_lsn()::text as lsn, clock_timestamp()::text as at',
  );
  await db.query(
    `update accounts set recorded_from_at = $3::timestamptz, recorded_from_lsn = coalesce(recorded_from_lsn, $2::pg_lsn)
     where id = any($1) and recorded_from_at is null`,
    [accountIds, rows[0]?.lsn, rows[0]?.at],
  );
}
