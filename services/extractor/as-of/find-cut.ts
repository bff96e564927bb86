import type { Pool } from 'pg';
import { ADVISORY_LOCKS } from '../../../shared/control/advisory-locks.ts';
import type { ClaimedExport } from '../../../shared/control/exports/queue-exports.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { inTransaction } from '../../../shared/postgres/transaction.ts';
import { LeaseLostError } from '../../../shared/runtime/lease-renewer.ts';
import { ExportFailedError } from '../extraction-errors.ts';
import type { SourceSession } from '../source/source-session.ts';

/** The partition of the oldest day that is kept; when it is the moment's day or an earlier one, every event since is there. */
const READ_COVERAGE = `
select a.recorded_from_at is not null and a.recorded_from_at <= $2::timestamptz as is_recorded,
  a.recorded_from_at::text as recorded_from,
  coalesce((
    select min(c.relname::text) from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'events'::regclass)
    <= 'events_' || to_char($2::timestamptz at time zone 'UTC', 'YYYYMMDD'), false) as is_kept
from accounts a where a.id = $1`;

/**
 * Every change of the account that was committed after the moment has to be in the event log, and be there still.
 *
 * @throws ExportFailedError when it is not so
 */
export async function assertCovered(
  db: Queryable,
  { accountId }: ClaimedExport,
  asOf: string,
): Promise<void> {
  const { rows } = await db.query<{ is_recorded: boolean; recorded_from: string | null; is_kept: boolean }>(
    READ_COVERAGE,
    [accountId, asOf],
  );
  const row = rows[0];
  if (row?.is_recorded !== true) {
    throw new ExportFailedError(
      'moment_not_covered',
      `The recording of this account's changes began at ${row?.recorded_from ?? 'the present'}: use a later as_of.`,
    );
  }
  if (row.is_kept) return;
  throw new ExportFailedError(
    'moment_not_covered',
    `Some changes since ${asOf} are no longer retained: use a later as_of.`,
  );
}

/**
 * The first commit later than the moment is where the cut is; without one it is where the WAL was once the snapshot had been
 * taken, which was later than the moment too. What was found for this moment or a later one stays so: a commit that got
 * its time before the moment, and its place in the WAL only after the first export had looked, must not come in later.
 */
const FIND_CUT = `
update exports e set cut_lsn = least(
  (select v.commit_lsn from events v
    where v.account_id = e.account_id and v.committed_at > $3::timestamptz
    order by v.commit_lsn limit 1),
  (e.snapshot->>'lsn')::pg_lsn,
  (select min(o.cut_lsn) from exports o
    where o.account_id = e.account_id and o.cut_lsn is not null
      and o.system_id = e.system_id and o.timeline = e.timeline
      and (o.request->>'as_of')::timestamptz >= $3::timestamptz))
where e.id = $1 and e.run_attempt = $2
returning cut_lsn::text`;

/**
 * Cuts the account's feed at the moment: what is at or after the returned LSN (`X/Y`) is later. All that is before it is a
 * prefix in commit order, and so a state that the source had. The same for whoever asks again.
 */
export function findCut(pool: Pool, { id, runAttempt, accountId }: ClaimedExport, asOf: string) {
  return inTransaction(pool, async (db) => {
    await db.query('select pg_advisory_xact_lock($1, hashtext($2))', [
      ADVISORY_LOCKS.cutOfAccount,
      accountId,
    ]);
    const { rows } = await db.query<{ cut_lsn: string }>(FIND_CUT, [id, runAttempt, asOf]);
    if (rows[0] === undefined) throw new LeaseLostError('the run is no longer ours');
    return rows[0].cut_lsn;
  });
}

/** Clocks of two machines may differ by this much without anybody noticing. */
const MAX_AHEAD_SECONDS = 60;

/**
 * Waits until the moment is past by the source's clock, which is the one that commits are dated by: a snapshot taken then is
 * later than the moment.
 *
 * @throws ExportFailedError when that would take long
 */
export async function awaitAsOf(
  session: SourceSession,
  asOf: string,
  pause: () => Promise<void>,
): Promise<void> {
  for (;;) {
    const { rows } = await session.query(
      'select extract(epoch from $1::timestamptz - clock_timestamp())::text as seconds',
      [asOf],
    );
    const aheadSeconds = Number(rows[0]?.seconds);
    if (aheadSeconds < 0) return;
    if (aheadSeconds > MAX_AHEAD_SECONDS) {
      throw new ExportFailedError(
        'invalid_request',
        `The time ${asOf} is ${Math.round(aheadSeconds)} s ahead of the source's clock: check both machines' clocks.`,
      );
    }
    await pause();
  }
}
