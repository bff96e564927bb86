import { formatLsn, type Lsn, parseLsn } from '../../../shared/domain/lsn.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { createGather } from '../../../shared/runtime/gather.ts';
import type { SourceSession } from '../source/source-session.ts';

/** How far the feed has come, as the dispatcher mirrors it from capture. */
export interface FeedState {
  /** Every transaction at or before it is visible to every snapshot taken from now on. */
  readonly settledLsn: Lsn;
  /** Every transaction at or before it is in the changes topic. */
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

/** Runs that wait for the feed at the same time ask for its state together. */
export function createFeedStateReader(db: Queryable): () => Promise<FeedState | undefined> {
  const read = createGather(async (asked: readonly undefined[]) => {
    const state = await readFeedState(db);
    return asked.map(() => state);
  });
  return () => read(undefined);
}

/** The resources whose changes are passed over at present. */
export async function findSetAside(db: Queryable): Promise<ReadonlySet<string>> {
  const { rows } = await db.query<{ resource: string }>(
    'select resource from feed_set_aside where until_lsn is null',
  );
  return new Set(rows.map(({ resource }) => resource));
}

/** From where on the changes of the accounts of one export are recorded. */
export interface RecordingState {
  /** Accounts that no export was made of yet: nothing is known of their changes before now. */
  readonly newAccountIds: readonly string[];
  /** The latest beginning among the others; 0 when there are none. */
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

/** Notes from where on every change is recorded. An account that has a beginning keeps it. */
export async function startRecording(db: Queryable, accountIds: readonly string[], from: Lsn): Promise<void> {
  await db.query(
    'update accounts set recorded_from_lsn = $2::pg_lsn where id = any($1) and recorded_from_lsn is null',
    [accountIds, formatLsn(from)],
  );
}

/** Accounts of which it is not noted yet from when on their changes are recorded. */
export async function findUnrecordedAccounts(db: Queryable): Promise<string[]> {
  const { rows } = await db.query<{ id: string }>({
    name: 'find_unrecorded_accounts',
    text: 'select id from accounts where recorded_from_at is null limit 1000',
  });
  return rows.map(({ id }) => id);
}

/**
 * Notes from where and when on changes of these accounts, which are known, are recorded. The clock is read after the WAL's
 * position, so that what was committed later than the one has its place behind the other.
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
