import type { Queryable } from '../../../shared/postgres/queryable.ts';

const REASON =
  'undelivered events are no longer retained: replay from a later position or after a new export, then resume';

/**
 * Disables endpoints that have yet to get events from before `keptSince` (`2026-01-02`), which are about to be dropped:
 * those that were paused, or failed, for as long as events are kept. Call it before dropping them.
 *
 * @returns their IDs
 */
export async function markMissed(db: Queryable, keptSince: string): Promise<string[]> {
  const { rows } = await db.query<{ id: string }>(
    `update webhooks w set missed_events = true, status = 'disabled', status_reason = $2
      where not missed_events and (
        exists (select from webhook_parked k
                 where k.webhook_id = w.id and k.state = 'waiting' and k.committed_at < $1)
        or exists (select from events e
                    where e.account_id = w.account_id and e.committed_at < $1
                      and (e.commit_lsn, e.idx) > (w.cursor_lsn, w.cursor_idx)
                      and (e.type = 'feed.reset' or e.type like any (
                        select replace(replace(replace(pattern, '\\', '\\\\'), '_', '\\_'), '*', '%')
                          from unnest(w.events) pattern))))
      returning id`,
    [keptSince, REASON],
  );
  return rows.map(({ id }) => id);
}
