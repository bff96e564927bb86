import { formatLsn } from '../../../shared/domain/lsn.ts';
import type { Position } from '../../../shared/domain/position.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';

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
    // A reset for events that came too late has the place of one of them, and a later time.
    `select type, resource from deliverable_events where account_id = $1 and commit_lsn = $2 and idx = $3
      order by committed_at desc limit 1`,
    [accountId, formatLsn(commitLsn), index],
  );
  return rows[0];
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
