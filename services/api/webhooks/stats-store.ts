import { isTypeWanted } from '../../../shared/domain/event-pattern.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';

/** The attempts of an endpoint that started within five minutes. */
export interface StatsRow {
  bucket: Date;
  delivered: number;
  failed: number;
  delivered_events: number;
  failed_events: number;
  /** See `duration-classes.ts`. */
  durations: number[];
}

/** In order of time, without those that have no attempt. */
export async function readStats(db: Queryable, webhookId: string, from: Date, to: Date): Promise<StatsRow[]> {
  const { rows } = await db.query<StatsRow>(
    `select bucket, delivered, failed, delivered_events::float8, failed_events::float8, durations
       from webhook_stats where webhook_id = $1 and bucket >= $2 and bucket < $3 order by bucket`,
    [webhookId, from, to],
  );
  return rows;
}

/** Events after the cursor, and dead letters, that are counted: some ten milliseconds, however far an endpoint is behind. */
export const MAX_COUNTED = 10_000;

/** What is recorded for an endpoint and not delivered yet. */
export interface Backlog {
  /** At least, when it is not exact. */
  readonly events: number;
  readonly isExact: boolean;
  /** When the oldest of them was committed. Undefined when none is found. */
  readonly oldestAt: Date | undefined;
  readonly retrying: number;
  /** At most as many as are counted. */
  readonly dead: number;
}

interface BacklogRow {
  events: string[];
  examined: number;
  /** By type and resource, those that the endpoint neither has nor finds in the export it starts after. */
  groups: { type: string; resource: string; count: number; oldest_at: string }[];
  waiting: number;
  retrying: number;
  oldest_waiting_at: Date | null;
  /** More events of a record wait than are scheduled for retry. */
  has_more: boolean;
  dead: number;
}

const readBacklogOf = (counted: number) => `
  with endpoint as (
    select * from webhooks where id = $1
  ), examined as materialized (
    select e.*, handoff_snapshot is not null and e.xid <> 0 and e.commit_lsn <= handoff_until_lsn
             and pg_visible_in_snapshot(e.xid::text::xid8, handoff_snapshot::pg_snapshot) as is_held
      from endpoint w cross join lateral (
        select commit_lsn, idx, xid, type, resource, committed_at from events
         where account_id = w.account_id and (commit_lsn, idx) > (w.cursor_lsn, w.cursor_idx)
         order by commit_lsn, idx limit ${counted}
      ) e
  ), done as (
    select (substr(text, 1, 8) || '/' || substr(text, 9, 8))::pg_lsn as lsn, substr(text, 18)::int as idx
      from endpoint, unnest(done) text
  ), missing as (
    select type, resource, count(*)::int, min(committed_at) as oldest_at from examined e
     where not is_held and not exists (select from done d where d.lsn = e.commit_lsn and d.idx = e.idx)
     group by type, resource
  ), waiting as (
    select count(*)::int as waiting, (count(*) filter (where attempt_count > 0))::int as retrying,
           min(committed_at) as oldest_waiting_at, coalesce(bool_or(has_more), false) as has_more
      from webhook_parked where webhook_id = $1 and state = 'waiting'
  )
  select endpoint.events, waiting.*, (select count(*)::int from examined) as examined,
         (select coalesce(json_agg(missing), '[]') from missing) as groups,
         (select count(*)::int from (
            select from webhook_parked where webhook_id = $1 and state = 'dead' limit ${counted}) dead) as dead
    from endpoint cross join waiting`;

/**
 * Counts what an endpoint has yet to get: up to a limit after its cursor, and what waits for a retry.
 *
 * @param singularOf the name that the types of a resource's events start with
 * @param counted events after its cursor, and dead letters, that are counted
 */
export async function readBacklog(
  db: Queryable,
  webhookId: string,
  singularOf: (resource: string) => string | undefined,
  counted = MAX_COUNTED,
): Promise<Backlog | undefined> {
  const { rows } = await db.query<BacklogRow>({
    name: `read_webhook_backlog_${counted}`,
    text: readBacklogOf(counted),
    values: [webhookId],
  });
  const [row] = rows;
  if (row === undefined) return undefined;
  const wanted = row.groups.filter(({ type, resource }) =>
    isTypeWanted(row.events, type, singularOf(resource)),
  );
  const oldest = wanted.map(({ oldest_at }) => Date.parse(oldest_at));
  if (row.oldest_waiting_at !== null) oldest.push(row.oldest_waiting_at.getTime());
  return {
    events: row.waiting + wanted.reduce((sum, { count }) => sum + count, 0),
    isExact: row.examined < counted && !row.has_more,
    oldestAt: oldest.length === 0 ? undefined : new Date(Math.min(...oldest)),
    retrying: row.retrying,
    dead: row.dead,
  };
}
