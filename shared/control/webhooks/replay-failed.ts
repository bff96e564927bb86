import type { Queryable } from '../../postgres/queryable.ts';
import { WEBHOOKS_CHANNEL } from '../../protocol/names.ts';

export interface FailedReplay {
  /** Events whose last attempt failed at this time or later. */
  failed_from: Date;
  /** And before this time. */
  failed_until: Date;
  requested_at: Date;
}

/**
 * Asks the dispatchers to deliver failed events again. For a paused or disabled endpoint it replaces an earlier
 * request, which waits too.
 *
 * @param failedFrom RFC 3339 with a zone, like `failedUntil`
 * @returns false while an earlier request is not done
 */
export async function requestFailedReplay(
  db: Queryable,
  webhookId: string,
  failedFrom: string,
  failedUntil: string,
): Promise<boolean> {
  const { rowCount } = await db.query(
    `with asked as (
       insert into webhook_replays (webhook_id, failed_from, failed_until) values ($1, $2, $3)
       on conflict (webhook_id) do update
         set failed_from = excluded.failed_from, failed_until = excluded.failed_until, after_lsn = default,
             after_idx = default, requested_at = default, look_at = default
       where exists (select from webhooks w where w.id = excluded.webhook_id and w.status <> 'active')
       returning webhook_id)
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

/** Events examined per step. */
const PAGE = 1_000;

/**
 * Limit of waiting deliveries of an endpoint, at which its replay waits: a dispatcher keeps all of them in memory, and
 * stops an endpoint's cursor at twice as many.
 */
const MAX_WAITING = 5_000;

/** Interval between the turns of a replay that waits for deliveries. Each turn counts them. */
const REST_SECONDS = 5;

/**
 * Replays of active endpoints take turns. Locks the endpoint's row before its retries, in the order of its holder.
 * Another process may deliver or replay an event until its row is locked, so its new state decides. Progress is saved
 * together with the rows.
 */
const STEP = `
  with due as (
    select r.*, w.account_id from webhook_replays r join webhooks w on w.id = r.webhook_id
     where r.look_at <= now() and w.status = 'active'
     order by r.look_at, r.webhook_id limit 1
     for no key update of r, w skip locked
  ), replay as materialized (
    select due.*, (select count(*) from (
             select from webhook_parked k where k.webhook_id = due.webhook_id and k.state = 'waiting'
              limit $2) waiting) >= $2 as is_full
      from due
  ), examined as materialized (
    select k.* from replay r cross join lateral (
      select webhook_id, commit_lsn, idx, committed_at, parked_at, last_error from webhook_parked
       where not r.is_full and webhook_id = r.webhook_id and (commit_lsn, idx) > (r.after_lsn, r.after_idx)
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
    update webhook_parked k set state = 'waiting', attempt_count = 0, next_attempt_at = now(),
           asked_xid = pg_current_xact_id()::text::bigint
      from failed f
     where k.webhook_id = f.webhook_id and k.commit_lsn = f.commit_lsn and k.idx = f.idx
       and (k.state = 'dead' or k.attempt_count > 0)
    returning 1
  ), moved as (
    update webhook_replays r
       set after_lsn = coalesce(last.commit_lsn, r.after_lsn), after_idx = coalesce(last.idx, r.after_idx),
           look_at = clock_timestamp() + case when replay.is_full then make_interval(secs => $3) else interval '0' end
      from replay
      left join (select commit_lsn, idx from examined order by commit_lsn desc, idx desc limit 1) last on true
     where r.webhook_id = replay.webhook_id and (is_full or (select count(*) from examined) = $1)
  ), ended as (
    delete from webhook_replays r using replay
     where r.webhook_id = replay.webhook_id and not is_full and (select count(*) from examined) < $1
  ), told as (
    update webhooks w set updated_at = now() from replay
     where w.id = replay.webhook_id and exists (select from again)
  )
  select webhook_id, is_full, (select count(*)::int from again) as scheduled,
         not is_full and (select count(*) from examined) < $1 as is_over
    from replay`;

export interface ReplayStep {
  webhook_id: string;
  /** The limit of waiting deliveries is reached; the replay continues at its next turn. */
  is_full: boolean;
  /** Number of events scheduled for delivery. */
  scheduled: number;
  is_over: boolean;
}

/**
 * Schedules some failed events of one replay: those that failed for good, and those that wait for a retry. An event
 * that was delivered since has no row any more. A crash between two steps repeats a step and loses nothing.
 *
 * @returns undefined when no replay has anything to do now
 */
export async function stepFailedReplay(
  db: Queryable,
  { page = PAGE, maxWaiting = MAX_WAITING, restSeconds = REST_SECONDS } = {},
): Promise<ReplayStep | undefined> {
  const { rows } = await db.query<ReplayStep>({
    name: 'step_failed_replay',
    text: STEP,
    values: [page, maxWaiting, restSeconds],
  });
  return rows[0];
}
