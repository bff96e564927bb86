import type { Queryable } from '../../postgres/queryable.ts';
import { WEBHOOKS_CHANNEL } from '../../protocol/names.ts';
import type { StoredHeaders } from '../../runtime/secret-box.ts';

/** Columns of `webhooks w` that make an endpoint. */
export const ENDPOINT_COLUMNS = `
  w.id, w.account_id, w.url, w.events, w.headers, w.max_in_flight, w.rate_limit, w.batch, w.delivery_order, w.status, w.secrets,
  w.handoff_snapshot, w.handoff_until_lsn, w.cursor_lsn, w.cursor_idx, w.done, w.failures_in_row,
  w.failing_since, w.rest_until, w.settings_version, w.cursor_epoch, w.lease_epoch`;

export interface EndpointRow {
  id: string;
  account_id: string;
  url: string;
  events: string[];
  headers: StoredHeaders;
  max_in_flight: number;
  rate_limit: number | null;
  delivery_order: 'record' | 'strict';
  batch: { max_events: number; max_wait_ms: number } | null;
  status: string;
  secrets: { ciphertext: string; expires_at: string | null }[];
  handoff_snapshot: string | null;
  handoff_until_lsn: string | null;
  cursor_lsn: string;
  cursor_idx: number;
  done: string[];
  failures_in_row: number;
  failing_since: Date | null;
  rest_until: Date | null;
  settings_version: number;
  cursor_epoch: number;
  lease_epoch: number;
}

/** Renews a dispatcher, and with it all its leases, for `leaseMs` by the database's clock. */
export async function renewDispatcher(db: Queryable, dispatcherId: string, leaseMs: number): Promise<void> {
  await db.query({
    name: 'renew_dispatcher',
    text: `insert into dispatchers (id, expires_at)
           values ($1, clock_timestamp() + $2 * interval '1 millisecond')
           on conflict (id) do update set expires_at = excluded.expires_at`,
    values: [dispatcherId, leaseMs],
  });
}

/** The number of endpoints that each live dispatcher that is not leaving should hold, rounded up so that all are held. */
export async function readFairShare(db: Queryable): Promise<number> {
  const { rows } = await db.query<{ share: number }>({
    name: 'read_fair_share',
    text: `select ceil((select count(*) from webhooks where status = 'active')::float8 /
                       greatest(1, (select count(*) from dispatchers where expires_at > now() and not is_leaving)))::int as share`,
  });
  return rows[0]?.share ?? 0;
}

/**
 * Reads only endpoints without a live holder, by the index on `lease_owner` of the active ones, so that the cost of a
 * claim does not depend on the number held. `owners` steps from one owner to the next over all endpoints of each. The
 * orders select the index.
 */
const CLAIM_ENDPOINTS = `
  with recursive owners as (
    (select lease_owner as id from webhooks where status = 'active' and lease_owner is not null
      order by lease_owner limit 1)
    union all
    select (select w.lease_owner from webhooks w where w.status = 'active' and w.lease_owner > o.id
             order by w.lease_owner limit 1)
      from owners o where o.id is not null
  ), lost as materialized (
    select id from owners o
     where id is not null and not exists (select from dispatchers d where d.id = o.id and d.expires_at > now())
  ), unheld as materialized (
    select w.id from webhooks w where w.status = 'active' and w.lease_owner is null
     order by w.lease_owner limit $2
     for update skip locked
  ), left_behind as materialized (
    select w.id from lost
     cross join lateral (
       select id from webhooks w where w.status = 'active' and w.lease_owner = lost.id
        order by w.lease_owner limit $2
        for update skip locked
     ) w limit $2
  ), free as (
    select id from unheld union all select id from left_behind limit $2
  )
  update webhooks w set lease_owner = $1, lease_epoch = w.lease_epoch + 1, applied_version = w.settings_version
    from free where w.id = free.id
  returning ${ENDPOINT_COLUMNS}`;

/** Leases at most `limit` active endpoints without a live holder. Many dispatchers may claim at once. */
export async function claimEndpoints(
  db: Queryable,
  dispatcherId: string,
  limit: number,
): Promise<EndpointRow[]> {
  const { rows } = await db.query<EndpointRow>({
    name: 'claim_endpoints',
    text: CLAIM_ENDPOINTS,
    values: [dispatcherId, limit],
  });
  return rows;
}

/** The endpoints of this dispatcher whose settings have changed since it last applied them. */
export async function readChangedEndpoints(db: Queryable, dispatcherId: string): Promise<EndpointRow[]> {
  const { rows } = await db.query<EndpointRow>({
    name: 'read_changed_endpoints',
    text: `select ${ENDPOINT_COLUMNS} from webhooks w
            where lease_owner = $1 and settings_version <> applied_version`,
    values: [dispatcherId],
  });
  return rows;
}

/** Skips rows that a save of progress has locked: saves lock many rows too, in another order. */
const NOTE_APPLIED = `
  with free as (
    select w.id, n.version from webhooks w join unnest($1::text[], $2::int[]) as n (id, version) using (id)
       for no key update of w skip locked
  )
  update webhooks w set applied_version = greatest(w.applied_version, free.version)
    from free where w.id = free.id
  returning w.id`;

/** Tells waiting requests that endpoints now use these versions of their settings. */
export async function noteApplied(db: Queryable, versions: ReadonlyMap<string, number>): Promise<void> {
  const { rows } = await db.query<{ id: string }>({
    name: 'note_applied',
    text: NOTE_APPLIED,
    values: [[...versions.keys()], [...versions.values()]],
  });
  const noted = new Set(rows.map(({ id }) => id));
  for (const [id, version] of versions) {
    if (noted.has(id)) continue;
    await db.query({
      name: 'note_applied_to_one',
      text: 'update webhooks set applied_version = greatest(applied_version, $2) where id = $1',
      values: [id, version],
    });
  }
}

/** The endpoints that this dispatcher holds, according to the control store, which decides. */
export async function readHeldIds(db: Queryable, dispatcherId: string): Promise<Set<string>> {
  const { rows } = await db.query<{ id: string }>({
    name: 'read_held_ids',
    text: `select id from webhooks where lease_owner = $1`,
    values: [dispatcherId],
  });
  return new Set(rows.map((row) => row.id));
}

/** Releases leases and notifies the other dispatchers, so that these need not wait for expiry or their next round. */
export async function releaseEndpoints(
  db: Queryable,
  dispatcherId: string,
  ids: readonly string[],
): Promise<void> {
  await db.query({
    name: 'release_endpoints',
    text: `with released as (
             update webhooks set lease_owner = null where lease_owner = $1 and id = any($2) returning id
           )
           select pg_notify('${WEBHOOKS_CHANNEL}', $1) from released limit 1`,
    values: [dispatcherId, ids],
  });
}

/**
 * Says that a dispatcher takes no more endpoints, so that the others take its share as it gives them back. It keeps what it has not
 * given back yet.
 */
export async function leaveEndpoints(db: Queryable, dispatcherId: string): Promise<void> {
  await db.query({
    name: 'leave_endpoints',
    text: `with leaving as (update dispatchers set is_leaving = true where id = $1 returning id)
           select pg_notify('${WEBHOOKS_CHANNEL}', id) from leaving`,
    values: [dispatcherId],
  });
}

export async function removeDispatcher(db: Queryable, dispatcherId: string): Promise<void> {
  await db.query(`delete from dispatchers where id = $1`, [dispatcherId]);
}
