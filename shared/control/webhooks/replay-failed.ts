import type { Queryable } from '../../postgres/queryable.ts';
import { WEBHOOKS_CHANNEL } from '../../protocol/names.ts';

export interface FailedReplay {
  /** Events whose last attempt failed at this time or later. */
  failed_from: Date;
  /** And before this time. */
  failed_until: Date;
  requested_at: Date;
}

/** Asks the dispatchers to deliver failed events again. @returns false while an earlier request is not done */
export async function requestFailedReplay(
  db: Queryable,
  webhookId: string,
  failedFrom: Date,
  failedUntil: Date,
): Promise<boolean> {
  const { rowCount } = await db.query(
    `with asked as (
       insert into webhook_replays (webhook_id, failed_from, failed_until) values ($1, $2, $3)
       on conflict do nothing returning webhook_id)
     select pg_notify('${WEBHOOKS_CHANNEL}', webhook_id) from asked`,
    [webhookId, failedFrom, failedUntil],
  );
  return rowCount === 1;
}

export async function findFailedReplay(db: Queryable, webhookId: string): Promise<FailedReplay | undefined> {
  const { rows } = await db.query<FailedReplay>(
    'select failed_from, failed_until, requested_at from webhook_replays where webhook_id = $1',
    [webhookId],
  );
  return rows[0];
}

/** Events that one step examines. */
const PAGE = 1_000;

/**
 * Waiting deliveries of an endpoint at which its replay waits too: a dispatcher keeps all of them in memory, and stops an
 * endpoint's cursor at twice as many.
 */
const MAX_WAITING = 5_000;

/**
 * The endpoint's row is locked before its retries, which is the order in which its holder takes them. Whatever another
 * has delivered or replayed until a row is locked, its new state decides. Progress is saved with what it stands for.
 */
const STEP = `
  with replay as (
    select r.*, w.account_id from webhook_replays r join webhooks w on w.id = r.webhook_id
     where (select count(*) from (
              select from webhook_parked k where k.webhook_id = r.webhook_id and k.state = 'waiting'
               limit $2) waiting) < $2
     order by r.requested_at, r.webhook_id limit 1
     for no key update of r, w skip locked
  ), examined as materialized (
    select k.* from replay r cross join lateral (
      select webhook_id, commit_lsn, idx, committed_at, parked_at, last_error from webhook_parked
       where webhook_id = r.webhook_id and (commit_lsn, idx) > (r.after_lsn, r.after_idx)
       order by commit_lsn, idx limit $1
    ) k
  ), failed as (
    select e.webhook_id, e.commit_lsn, e.idx from examined e join replay r using (webhook_id)
     where coalesce((e.last_error->>'at')::timestamptz, e.parked_at) >= r.failed_from
       and coalesce((e.last_error->>'at')::timestamptz, e.parked_at) < r.failed_until
       and exists (select from deliverable_events d
                    where d.account_id = r.account_id and d.commit_lsn = e.commit_lsn and d.idx = e.idx
                      and d.committed_at = e.committed_at)
  ), again as (
    update webhook_parked k set state = 'waiting', attempt_count = 0, next_attempt_at = now()
      from failed f
     where k.webhook_id = f.webhook_id and k.commit_lsn = f.commit_lsn and k.idx = f.idx
       and (k.state = 'dead' or k.attempt_count > 0)
    returning 1
  ), moved as (
    update webhook_replays r set after_lsn = last.commit_lsn, after_idx = last.idx
      from (select webhook_id, commit_lsn, idx from examined order by commit_lsn desc, idx desc limit 1) last
     where r.webhook_id = last.webhook_id and (select count(*) from examined) = $1
  ), ended as (
    delete from webhook_replays r using replay
     where r.webhook_id = replay.webhook_id and (select count(*) from examined) < $1
  ), told as (
    update webhooks w set updated_at = now() from replay
     where w.id = replay.webhook_id and exists (select from again)
  )
  select webhook_id, (select count(*)::int from again) as scheduled, (select count(*) from examined) < $1 as is_over
    from replay`;

export interface ReplayStep {
  webhook_id: string;
  /** Events that are to be delivered again. */
  scheduled: number;
  is_over: boolean;
}

/**
 * Schedules some failed events of one replay: those that were given up, and those that wait for a retry. What was delivered
 * since it is not scheduled for retry any more, so it is left out. A crash between two steps repeats and loses nothing.
 *
 * @returns undefined when no replay has anything to do now
 */
export async function stepFailedReplay(
  db: Queryable,
  { page = PAGE, maxWaiting = MAX_WAITING } = {},
): Promise<ReplayStep | undefined> {
  const { rows } = await db.query<ReplayStep>({
    name: 'step_failed_replay',
    text: STEP,
    values: [page, maxWaiting],
  });
  return rows[0];
}
