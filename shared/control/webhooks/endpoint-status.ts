import { DISABLED_REASONS } from '../../domain/disabled-reasons.ts';
import type { Queryable } from '../../postgres/queryable.ts';

/**
 * Disables endpoints that have not received events from before `keptSince` (`2026-01-02`), which are about to be
 * dropped: those that were paused, or failed, for as long as events are kept. Call it before dropping the events.
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
    [keptSince, DISABLED_REASONS.missed],
  );
  return rows.map(({ id }) => id);
}

/** A disabled endpoint stays disabled: it gets no requests either way, and the reason stays visible. */
export async function pauseEndpoint(db: Queryable, accountId: string | null, id: string): Promise<void> {
  await db.query(
    `update webhooks set status = case status when 'active' then 'paused' else status end, updated_at = now()
     where ($1::text is null or account_id = $1) and id = $2`,
    [accountId, id],
  );
}

/**
 * Continues where the endpoint stopped, also after it was disabled. Its owner says that it works again, so its failures
 * are reset.
 */
export async function resumeEndpoint(db: Queryable, accountId: string | null, id: string): Promise<void> {
  await db.query(
    `update webhooks set status = 'active', status_reason = null, failures_in_row = 0, failing_since = null,
       rest_until = null, updated_at = now()
     where ($1::text is null or account_id = $1) and id = $2`,
    [accountId, id],
  );
}
