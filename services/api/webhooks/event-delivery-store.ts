import { formatLsn } from '../../../shared/domain/lsn.ts';
import { eventId, formatPosition, type Position } from '../../../shared/domain/position.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { AttemptRow } from './attempt-store.ts';

export interface DeliveredEvent {
  type: string;
  resource: string;
  record: string;
  /** The transaction. Null for an account event. */
  xid: string | null;
  /** Of an account event: it is not scheduled for its endpoints yet. */
  is_unscheduled: boolean;
}

export async function findDeliveredEvent(
  db: Queryable,
  accountId: string,
  { commitLsn, index }: Position,
): Promise<DeliveredEvent | undefined> {
  const { rows } = await db.query<DeliveredEvent>(
    // A reset for events that came too late has the place of one of them, and a later time.
    `select type, resource, resource || '/' || record_key as record, xid::text, false as is_unscheduled, committed_at
       from events where account_id = $1 and commit_lsn = $2 and idx = $3
     union all
     select type, resource, resource || '/' || subject_id, null, parked_at is null, occurred_at
       from account_events where account_id = $1 and commit_lsn = $2 and $3 = 0
      order by committed_at desc limit 1`,
    [accountId, formatLsn(commitLsn), index],
  );
  return rows[0];
}

/** One endpoint's part in an event. */
export interface EventDeliveryRow {
  webhook_id: string;
  url: string;
  events: string[];
  /** Null when no retry of the event is stored. */
  retry_state: 'waiting' | 'dead' | null;
  attempt_count: number | null;
  next_attempt_at: Date | null;
  /** Earlier events of its record wait, and it is read from the log after them. */
  is_behind: boolean;
  /** The endpoint has yet to come to it. */
  is_ahead: boolean;
  /** The export that the endpoint starts after holds it. */
  is_in_export: boolean;
  is_delivered: boolean;
  last_attempt: (Omit<AttemptRow, 'started_at'> & { started_at: string }) | null;
}

/** Requests that are looked through for one that held an event: alone, and as batches that begin before it. */
const MAX_ALONE = 100;
const MAX_BATCHES = 1_000;

const READ_DELIVERIES = `
  select w.id as webhook_id, w.url, w.events, k.state as retry_state, k.attempt_count, k.next_attempt_at,
         exists (select from webhook_parked b
                  where b.webhook_id = w.id and b.record_key = $4 and b.has_more and b.state = 'waiting'
                    and (b.commit_lsn, b.idx) < ($2::pg_lsn, $3::int)) as is_behind,
         case when $5::bigint is null then $6::boolean
              else ($2::pg_lsn, $3::int) > (w.cursor_lsn, w.cursor_idx) and not $7 = any(w.done) end as is_ahead,
         coalesce($5 <> 0 and $2::pg_lsn <= w.handoff_until_lsn
                  and pg_visible_in_snapshot($5::text::xid8, w.handoff_snapshot::pg_snapshot), false) as is_in_export,
         coalesce(t.is_delivered, false) as is_delivered, t.last_attempt
    from webhooks w
    left join webhook_parked k on k.webhook_id = w.id and k.commit_lsn = $2 and k.idx = $3
    left join lateral (
      select bool_or(outcome = 'delivered') as is_delivered,
             (array_agg(json_build_object('id', id::text, 'event_id', event_id, 'batch', batch, 'attempt', attempt,
                'started_at', started_at, 'duration_ms', duration_ms, 'status', status, 'outcome', outcome,
                'excerpt', excerpt) order by started_at desc, id desc))[1] as last_attempt
        from (
          (select * from webhook_attempts
            where webhook_id = w.id and event_ids is null and event_id collate "C" = $8
            order by event_id collate "C" desc, id desc limit ${MAX_ALONE})
          union all
          (select * from (
             select * from webhook_attempts
              where webhook_id = w.id and event_ids is not null and event_id collate "C" <= $8
              order by event_id collate "C" desc, id desc limit ${MAX_BATCHES}) near
            where (batch->>'last_event_id') collate "C" >= $8 and $8 = any(event_ids))
        ) tries
    ) t on true
   where w.account_id = $1
   order by w.created_at desc, w.id desc`;

/** What became of an event at each endpoint of its account, newest endpoint first. */
export async function readDeliveries(
  db: Queryable,
  accountId: string,
  position: Position,
  event: DeliveredEvent,
): Promise<EventDeliveryRow[]> {
  const { rows } = await db.query<EventDeliveryRow>(READ_DELIVERIES, [
    accountId,
    formatLsn(position.commitLsn),
    position.index,
    event.record,
    event.xid,
    event.is_unscheduled,
    formatPosition(position),
    eventId(position),
  ]);
  return rows;
}
