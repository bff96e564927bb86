import type { Pool } from 'pg';
import { ADVISORY_LOCKS } from '../../../shared/control/advisory-locks.ts';
import type { ClaimedExport } from '../../../shared/control/exports/queue-exports.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { inTransaction } from '../../../shared/postgres/transaction.ts';
import { LeaseLostError } from '../../../shared/runtime/lease-renewer.ts';
import { ExportFailedError } from '../extraction-errors.ts';
import type { SourceSession } from '../source/source-session.ts';

/** The oldest day that the event log keeps. If it is not later than the day of the as-of time, no later event was deleted. */
const READ_COVERAGE = `
select a.recorded_from_at is not null and a.recorded_from_at <= $2::timestamptz as is_recorded,
  a.recorded_from_at::text as recorded_from,
  coalesce((
    select min(c.relname::text) from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'events'::regclass)
    <= 'events_' || to_char($2::timestamptz at time zone 'UTC', 'YYYYMMDD'), false) as is_kept
from accounts a where a.id = $1`;

/**
 * Checks that the event log still holds every change of the account since the as-of time.
 *
 * @throws ExportFailedError when it does not
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
 * The cut is the first commit later than the as-of time or, without one, the WAL position read after the snapshot. It is
 * never past the cut of another export with the same or a later as-of time. Otherwise a commit whose timestamp is before the
 * as-of time, but which reached the WAL after the other export looked, would be in this export only.
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
 * Cuts the account's feed at the as-of time. Changes at or after the returned LSN (`X/Y`) are later. Changes before it are
 * a prefix in commit order, so they make a state that the source had. Later exports get the same cut.
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

/** A usual difference between the clocks of two machines. */
const MAX_AHEAD_SECONDS = 60;

/**
 * Waits until the source's clock, which dates the commits, has passed the as-of time. A snapshot taken after that is later
 * than the as-of time.
 *
 * @throws ExportFailedError when the wait would be long
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
