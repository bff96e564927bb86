import { formatLsn, type Lsn } from '../../domain/lsn.ts';
import { FEED_LIMIT, formatPosition, type Position } from '../../domain/position.ts';
import type { Queryable } from '../../postgres/queryable.ts';

/** Where an endpoint's feed continues. */
export interface NewCursor {
  readonly cursor: Position;
  /** Undefined when it does not start after an export. */
  readonly handOff: { readonly snapshot: string; readonly untilLsn: Lsn } | undefined;
}

/**
 * Whether the event `e` is in the export after which the endpoint `w` starts. A reset has no transaction and is in
 * none.
 */
const IS_IN_EXPORT = `coalesce(e.xid <> 0 and e.commit_lsn <= w.handoff_until_lsn
  and pg_visible_in_snapshot(e.xid::text::xid8, w.handoff_snapshot::pg_snapshot), false)`;

/**
 * Whether the endpoint's feed continues from the place. Allowed are: a place before the cursor, a place after an
 * export, which holds everything that is skipped, and any place after events that were dropped. Otherwise everything
 * after the place is still to come, and moving there would skip what is before it.
 */
const MOVES = `($4::text is not null or missed_events or (cursor_lsn, cursor_idx) >= ($2::pg_lsn, $3::int))`;

/**
 * Moves an endpoint's cursor, or leaves it when it has not reached the place yet. The present holder starts again from
 * there: the new epoch voids its state. Retries after the cursor are dropped, because the cursor passes them again.
 * Retries before it stay, and their records still wait for them. Retries of events that the new export holds are
 * dropped: sent later, they would make the record older.
 */
export async function moveCursor(
  db: Queryable,
  webhookId: string,
  { cursor, handOff }: NewCursor,
): Promise<void> {
  // Locks the endpoint first: until the commit its holder can't schedule a retry.
  const { rows } = await db.query<{ lsn: string; index: number }>(
    `update webhooks set done = '{}', cursor_epoch = cursor_epoch + 1, missed_events = false, updated_at = now(),
       cursor_lsn = case when ${MOVES} then $2 else cursor_lsn end,
       cursor_idx = case when ${MOVES} then $3 else cursor_idx end,
       handoff_snapshot = case when ${MOVES} then $4 else handoff_snapshot end,
       handoff_until_lsn = case when ${MOVES} then $5 else handoff_until_lsn end
     where id = $1
     returning cursor_lsn::text as lsn, cursor_idx as index`,
    [
      webhookId,
      formatLsn(cursor.commitLsn),
      cursor.index,
      handOff?.snapshot ?? null,
      handOff === undefined ? null : formatLsn(handOff.untilLsn),
    ],
  );
  const [moved] = rows;
  if (moved === undefined) return;
  await db.query(
    `delete from webhook_parked
     where webhook_id = $1 and (commit_lsn, idx) > ($2::pg_lsn, $3::int) and commit_lsn < $4::pg_lsn`,
    [webhookId, moved.lsn, moved.index, formatLsn(FEED_LIMIT.commitLsn)],
  );
  if (handOff === undefined) return;
  await db.query(
    `delete from webhook_parked k using webhooks w, events e
      where k.webhook_id = $1 and w.id = $1 and e.account_id = w.account_id
        and e.commit_lsn = k.commit_lsn and e.idx = k.idx and e.committed_at = k.committed_at and ${IS_IN_EXPORT}`,
    [webhookId],
  );
}

/**
 * `upcoming`: the endpoint has not reached the event yet. `in_export`: the export after which it starts holds the
 * event.
 */
export type Redelivery = 'queued' | 'upcoming' | 'in_export';

/**
 * Schedules an event for delivery at once, with all attempts available again, also when it had failed for good. An
 * event that the endpoint has not reached is left alone: sent now, it would overtake earlier ones of its record. So is
 * one that is in the export after which the endpoint starts: sent now, it would make its record older.
 *
 * Locks the endpoint's row before its retries, in the order of its holder.
 *
 * @returns what becomes of it; `queued` when it was scheduled
 */
export async function scheduleRedelivery(
  db: Queryable,
  accountId: string,
  webhookId: string,
  position: Position,
): Promise<Redelivery> {
  const { rows } = await db.query<{ state: Redelivery }>(
    `with place as (
       select w.id as webhook_id, d.commit_lsn, d.idx, d.committed_at, d.resource || '/' || d.record_key as record_key,
              case when ${IS_IN_EXPORT} then 'in_export'
                   when not d.is_in_feed or (d.commit_lsn, d.idx) <= (w.cursor_lsn, w.cursor_idx) or $5 = any(w.done)
                   then 'queued' else 'upcoming' end as state
         from webhooks w
         join deliverable_events d on d.account_id = w.account_id
         left join events e on e.account_id = d.account_id and e.commit_lsn = d.commit_lsn and e.idx = d.idx
                           and e.committed_at = d.committed_at
        where w.account_id = $1 and w.id = $2 and d.commit_lsn = $3 and d.idx = $4
        -- An event that came again too late has a reset at its place, of another time.
        order by d.committed_at desc limit 1
        for no key update of w
     ), retries as (
       insert into webhook_parked
         (webhook_id, commit_lsn, idx, committed_at, record_key, next_attempt_at, state, asked_xid)
       select webhook_id, commit_lsn, idx, committed_at, record_key, now(), 'waiting', pg_current_xact_id()::text::bigint
         from place where state = 'queued'
       on conflict (webhook_id, commit_lsn, idx) do update
         set attempt_count = 0, next_attempt_at = excluded.next_attempt_at, state = 'waiting', asked_xid = excluded.asked_xid
       returning webhook_id
     ), touched as (
       update webhooks w set updated_at = now() from retries where w.id = retries.webhook_id
     )
     select state from place`,
    [accountId, webhookId, formatLsn(position.commitLsn), position.index, formatPosition(position)],
  );
  return rows[0]?.state ?? 'upcoming';
}
