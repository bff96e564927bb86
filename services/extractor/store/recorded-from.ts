import { formatLsn, type Lsn, parseLsn } from '../../../shared/domain/lsn.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';

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
