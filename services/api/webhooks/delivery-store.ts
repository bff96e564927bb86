import { formatLsn } from '../../../shared/domain/lsn.ts';
import { FEED_LIMIT, formatPosition, type Position } from '../../../shared/domain/position.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { FeedStart } from '../exports/feed-start.ts';

/**
 * Puts an endpoint's cursor elsewhere. Whoever delivers for it now starts anew from there: the new epoch makes what it
 * knew void. What was parked of the feed after the place is dropped, since the cursor comes by it again; what was
 * parked before stays, and its record waits for it as ever.
 */
export async function moveCursor(
  db: Queryable,
  webhookId: string,
  { cursor, handOff }: FeedStart,
): Promise<void> {
  const place = [webhookId, formatLsn(cursor.commitLsn), cursor.index];
  // The endpoint first: from here on until the commit its holder can't park anything.
  await db.query(
    `update webhooks set cursor_lsn = $2, cursor_idx = $3, done = '{}', cursor_epoch = cursor_epoch + 1,
       handoff_snapshot = $4, handoff_until_lsn = $5, missed_events = false, updated_at = now()
     where id = $1`,
    [...place, handOff?.snapshot ?? null, handOff === undefined ? null : formatLsn(handOff.untilLsn)],
  );
  await db.query(
    `delete from webhook_parked
     where webhook_id = $1 and (commit_lsn, idx) > ($2::pg_lsn, $3::int) and commit_lsn < $4::pg_lsn`,
    [...place, formatLsn(FEED_LIMIT.commitLsn)],
  );
}

export interface StoredEvent {
  type: string;
  resource: string;
}

export async function findStoredEvent(
  db: Queryable,
  accountId: string,
  { commitLsn, index }: Position,
): Promise<StoredEvent | undefined> {
  const { rows } = await db.query<StoredEvent>(
    'select type, resource from deliverable_events where account_id = $1 and commit_lsn = $2 and idx = $3',
    [accountId, formatLsn(commitLsn), index],
  );
  return rows[0];
}

/**
 * Parks an event to be delivered at once, with all its attempts before it again, also when it was given up. One that
 * the endpoint has yet to come to is left alone: sent now, it would overtake earlier ones of its record.
 *
 * The endpoint's row is locked before its parked ones, which is the order in which its holder takes them.
 *
 * @returns whether it was parked
 */
export async function parkAgain(
  db: Queryable,
  accountId: string,
  webhookId: string,
  position: Position,
): Promise<boolean> {
  const { rowCount } = await db.query(
    `with place as (
       select w.id as webhook_id, e.commit_lsn, e.idx, e.committed_at, e.resource || '/' || e.record_key as record_key
         from webhooks w
         join deliverable_events e on e.account_id = w.account_id
        where w.account_id = $1 and w.id = $2 and e.commit_lsn = $3 and e.idx = $4
          and (not e.is_in_feed or (e.commit_lsn, e.idx) <= (w.cursor_lsn, w.cursor_idx) or $5 = any(w.done))
        for no key update of w
     ), parked as (
       insert into webhook_parked (webhook_id, commit_lsn, idx, committed_at, record_key, next_attempt_at, state)
       select webhook_id, commit_lsn, idx, committed_at, record_key, now(), 'waiting' from place
       on conflict (webhook_id, commit_lsn, idx) do update
         set attempt_count = 0, next_attempt_at = excluded.next_attempt_at, state = 'waiting'
       returning webhook_id
     )
     update webhooks w set updated_at = now() from parked where w.id = parked.webhook_id`,
    [accountId, webhookId, formatLsn(position.commitLsn), position.index, formatPosition(position)],
  );
  return rowCount === 1;
}

export interface DeadRow {
  commit_lsn: string;
  idx: number;
  /** Null when the event is no longer kept. */
  type: string | null;
  record_key: string;
  attempt_count: number;
  last_error: { at?: string; class?: string; message?: string; status?: number; excerpt?: string } | null;
}

/** Deliveries that were given up, in descending order of their positions. */
export async function listDead(
  db: Queryable,
  webhookId: string,
  before: Position | undefined,
  limit: number,
): Promise<DeadRow[]> {
  const { rows } = await db.query<DeadRow>(
    `select k.commit_lsn::text, k.idx, e.type, k.record_key, k.attempt_count, k.last_error
       from webhook_parked k
       join webhooks w on w.id = k.webhook_id
       left join deliverable_events e on e.account_id = w.account_id and e.commit_lsn = k.commit_lsn and e.idx = k.idx
                         and e.committed_at = k.committed_at
      where k.webhook_id = $1 and k.state = 'dead'
        and ($2::pg_lsn is null or (k.commit_lsn, k.idx) < ($2::pg_lsn, $3::int))
      order by k.commit_lsn desc, k.idx desc limit $4`,
    [webhookId, before === undefined ? null : formatLsn(before.commitLsn), before?.index ?? null, limit],
  );
  return rows;
}
