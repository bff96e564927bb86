import type { Queryable } from '../../../shared/postgres/queryable.ts';

/** Seconds since the feed last moved, by the control store's clock. Undefined before the feed ever ran. */
export async function findFeedAge(db: Queryable): Promise<number | undefined> {
  const { rows } = await db.query<{ seconds: number }>(
    'select greatest(0, extract(epoch from clock_timestamp() - updated_at))::float8 as seconds from feed_state',
  );
  return rows[0]?.seconds;
}

/** A resource whose changes the feed skips at present. */
export interface SetAsideRow {
  readonly resource: string;
  readonly reason: string;
  readonly detail: string;
  readonly since_at: Date;
}

export interface FeedStall {
  readonly reason: string;
  readonly detail: string;
  readonly since: Date;
}

export interface FeedStatus {
  readonly setAside: readonly SetAsideRow[];
  /** Undefined while the feed moves. */
  readonly stall: FeedStall | undefined;
}

/** Why changes are not delivered: those of single resources, or all. */
export async function readFeedStatus(db: Queryable): Promise<FeedStatus> {
  const { rows: setAside } = await db.query<SetAsideRow>(
    'select resource, reason, detail, since_at from feed_set_aside where until_lsn is null order by resource',
  );
  const { rows } = await db.query<FeedStall>(
    'select reason, detail, since from feed_stall where since is not null',
  );
  return { setAside, stall: rows[0] };
}

/**
 * Records a feed stall with its present reason. The first process to do so starts the stall, and accounts get
 * one event. A feed that moved within `leastAgeSeconds` has no stall: another process may have recorded that
 * since the caller checked.
 *
 * @returns whether this call started the stall
 */
export async function recordStall(
  db: Queryable,
  reason: string,
  detail: string,
  leastAgeSeconds: number,
): Promise<boolean> {
  const { rows } = await db.query<{ is_new: boolean }>(
    `update feed_stall s set reason = $1, detail = $2, since = coalesce(s.since, now())
       from (select since from feed_stall for update) was
      where (s.reason, s.detail) is distinct from ($1, $2)
        and (select updated_at from feed_state) <= clock_timestamp() - make_interval(secs => $3)
     returning was.since is null as is_new`,
    [reason, detail, leastAgeSeconds],
  );
  return rows[0]?.is_new === true;
}

/**
 * Records that the feed moves again, if it has moved within `stallAfterSeconds`: another process may have seen a stall
 * since the caller checked. A stall because of the slot ends only when the caller has seen the slot, which a process
 * that has just started has not.
 *
 * @returns whether this call ended a stall
 */
export async function recordMoving(
  db: Queryable,
  stallAfterSeconds: number,
  hasSeenSlot: boolean,
): Promise<boolean> {
  const { rowCount } = await db.query(
    `update feed_stall set reason = null, detail = null, since = null
      where since is not null and ($2 or reason = 'not_moving')
        and (select updated_at from feed_state) > clock_timestamp() - make_interval(secs => $1)`,
    [stallAfterSeconds, hasSeenSlot],
  );
  return rowCount === 1;
}
