import type { Pool } from 'pg';
import { formatLsn, type Lsn, parseLsn } from '../domain/lsn.ts';
import type { RecordRef } from '../domain/record-ref.ts';
import { formatSnapshot, type Snapshot } from '../domain/snapshot.ts';
import type { Queryable } from '../postgres/queryable.ts';
import { inTransaction } from '../postgres/transaction.ts';
import { RoutesLostError } from './route-generations.ts';

/** The owner of a record from a commit on. */
export interface Route {
  readonly resource: string;
  readonly key: string;
  /** Position of the commit; 0 for records in the generation's snapshot. */
  readonly sinceLsn: Lsn;
  /** The account, or the `recordId` of the parent. Null: no owner. */
  readonly owner: string | null;
  readonly isDeleted: boolean;
  /** The resources with a record that referred to this one both before and after the commit. */
  readonly referredBy: readonly string[];
}

/**
 * The number of a resource's records that refer to a record, whether that exists or not. May be too high, never too
 * low.
 */
export interface ReferenceCount extends RecordRef {
  readonly child: string;
  readonly count: number;
}

/** The effect of transactions on the accounts of other records. */
export interface RouteAdditions {
  readonly routes: readonly Route[];
  /** Changes of the counts. */
  readonly references: readonly ReferenceCount[];
  readonly commits: readonly RouteCommit[];
}

/** A transaction that changed routes, or wrote rows of children. */
export interface RouteCommit {
  readonly commitLsn: Lsn;
  readonly xid: bigint;
  readonly hasRoutes: boolean;
  /** It wrote a row of a child, whose reference may be unchanged. */
  readonly hasReferences: boolean;
}

/** The writer of routes, and what it knows about the store. */
export interface RouteWriter {
  readonly owner: string;
  readonly generation: string;
  /**
   * The position up to which it last stored that the routes are complete; undefined while the generation is incomplete.
   */
  readonly storedTo: Lsn | undefined;
  /** Position that the stream has passed and will not send again. */
  readonly passedLsn: Lsn;
}

/**
 * Adds the routes of transactions, and stores that everything before a position is complete. A route that exists
 * already gets the later owner, so a transaction may be written in parts and repeatedly. Counts are added each time:
 * for a part, pass only increases.
 *
 * @param completeTo undefined while a transaction is written in parts, or the generation is incomplete
 * @throws RoutesLostError when another session has taken over the routes, or the store has changed since this one's
 * last write
 */
export async function addRoutes(
  control: Pool,
  { owner, generation, storedTo, passedLsn }: RouteWriter,
  { routes, references, commits }: RouteAdditions,
  completeTo: Lsn | undefined,
): Promise<void> {
  await inTransaction(control, async (db) => {
    const held = await db.query(
      `update route_state set complete_to = coalesce($3::pg_lsn, complete_to)
       where owner = $1 and generation = $2 and complete_to is not distinct from $4::pg_lsn`,
      [
        owner,
        generation,
        ...[completeTo, storedTo].map((lsn) => (lsn === undefined ? null : formatLsn(lsn))),
      ],
    );
    if (held.rowCount !== 1) throw new RoutesLostError();
    if (routes.length > 0) await insertRoutes(db, generation, routes);
    if (routes.length > 0 && storedTo !== undefined) await removeReplaced(db, generation, routes, passedLsn);
    const [gone, come] = [
      references.filter(({ count }) => count < 0),
      references.filter(({ count }) => count > 0),
    ];
    if (come.length > 0) await addReferences(db, generation, come);
    if (gone.length > 0) await removeReferences(db, generation, gone);
    if (commits.length > 0) {
      await db.query(
        `insert into route_commits as r (generation, commit_lsn, xid, has_routes, has_references)
         select $1::bigint, c.* from unnest($2::pg_lsn[], $3::xid8[], $4::boolean[], $5::boolean[]) c
         on conflict (generation, commit_lsn) do update
           set has_routes = r.has_routes or excluded.has_routes, has_references = r.has_references or excluded.has_references`,
        [
          generation,
          commits.map(({ commitLsn }) => formatLsn(commitLsn)),
          commits.map(({ xid }) => String(xid)),
          commits.map(({ hasRoutes }) => hasRoutes),
          commits.map(({ hasReferences }) => hasReferences),
        ],
      );
    }
  });
}

async function insertRoutes(db: Queryable, generation: string, routes: readonly Route[]): Promise<void> {
  await db.query(
    `insert into routes (generation, resource, key, since_lsn, owner, is_deleted, referred_by)
     select $1::bigint, r.resource, r.key, r.since_lsn, r.owner, r.is_deleted, string_to_array(r.referred_by, ',')
     from unnest($2::text[], $3::text[], $4::pg_lsn[], $5::text[], $6::boolean[], $7::text[])
       as r (resource, key, since_lsn, owner, is_deleted, referred_by)
     on conflict (generation, resource, key, since_lsn) do update
       set owner = excluded.owner, is_deleted = excluded.is_deleted, referred_by = excluded.referred_by, written_at = now()`,
    [
      generation,
      routes.map(({ resource }) => resource),
      routes.map(({ key }) => key),
      routes.map(({ sinceLsn }) => formatLsn(sinceLsn)),
      routes.map(({ owner }) => owner),
      routes.map(({ isDeleted }) => isDeleted),
      routes.map(({ referredBy }) => referredBy.join()),
    ],
  );
}

/** Removes older routes of the written records that nobody asks for any more, because a later one is old enough too. */
async function removeReplaced(
  db: Queryable,
  generation: string,
  routes: readonly Route[],
  beforeLsn: Lsn,
): Promise<void> {
  await db.query(
    `delete from routes r using (
       select n.resource, n.key, max(n.since_lsn) as since_lsn from unnest($2::text[], $3::text[]) as w (resource, key)
       join routes n on n.generation = $1 and n.resource = w.resource and n.key = w.key
       where n.since_lsn < $4 and n.written_at < now() - interval '${SWEEP_AFTER}' group by 1, 2
     ) kept
     where r.generation = $1 and r.resource = kept.resource and r.key = kept.key and r.since_lsn < kept.since_lsn`,
    [generation, routes.map(({ resource }) => resource), routes.map(({ key }) => key), formatLsn(beforeLsn)],
  );
}

const GIVEN_COUNTS = `unnest($2::text[], $3::text[], $4::text[], $5::bigint[]) as c (resource, key, child, count)`;

const countValues = (generation: string, references: readonly ReferenceCount[]) => [
  generation,
  references.map(({ resource }) => resource),
  references.map(({ key }) => key),
  references.map(({ child }) => child),
  references.map(({ count }) => count),
];

async function addReferences(
  db: Queryable,
  generation: string,
  come: readonly ReferenceCount[],
): Promise<void> {
  await db.query(
    `insert into route_references as r (generation, resource, key, child, count)
     select $1::bigint, c.resource, c.key, c.child, sum(c.count) from ${GIVEN_COUNTS} group by 2, 3, 4
     on conflict (generation, resource, key, child) do update set count = r.count + excluded.count`,
    countValues(generation, come),
  );
}

async function removeReferences(
  db: Queryable,
  generation: string,
  gone: readonly ReferenceCount[],
): Promise<void> {
  const given = `(select resource, key, child, sum(count) as count from ${GIVEN_COUNTS} group by 1, 2, 3) g
    where r.generation = $1 and r.resource = g.resource and r.key = g.key and r.child = g.child`;
  const values = countValues(generation, gone);
  await db.query(`delete from route_references r using ${given} and r.count + g.count <= 0`, values);
  await db.query(`update route_references r set count = r.count + g.count from ${given}`, values);
}

/** The number of references to these records, by resource. Records without any are omitted. */
export async function readReferenceCounts(
  control: Queryable,
  generation: string,
  records: readonly RecordRef[],
): Promise<ReferenceCount[]> {
  const { rows } = await control.query<{ resource: string; key: string; child: string; count: string }>(
    `select r.resource, r.key, r.child, r.count::text from unnest($2::text[], $3::text[]) as w (resource, key)
     join route_references r on r.generation = $1 and r.resource = w.resource and r.key = w.key`,
    [generation, records.map(({ resource }) => resource), records.map(({ key }) => key)],
  );
  return rows.map((row) => ({ ...row, count: Number(row.count) }));
}

/** Reads all routes of these records, oldest first. */
export async function readRoutes(
  control: Queryable,
  generation: string,
  records: readonly RecordRef[],
): Promise<Route[]> {
  const { rows } = await control.query<{
    resource: string;
    key: string;
    since_lsn: string;
    owner: string | null;
    is_deleted: boolean;
    referred_by: string;
  }>(
    `select r.resource, r.key, r.since_lsn::text, r.owner, r.is_deleted, array_to_string(r.referred_by, ',') as referred_by
     from unnest($2::text[], $3::text[]) as w (resource, key)
     join routes r on r.generation = $1 and r.resource = w.resource and r.key = w.key
     order by r.since_lsn`,
    [generation, records.map(({ resource }) => resource), records.map(({ key }) => key)],
  );
  return rows.map((row) => ({
    resource: row.resource,
    key: row.key,
    sinceLsn: parseLsn(row.since_lsn),
    owner: row.owner,
    isDeleted: row.is_deleted,
    referredBy: row.referred_by === '' ? [] : row.referred_by.split(','),
  }));
}

/** A snapshot, with the range of commits of which it sees some and not others. */
export interface SeenSnapshot {
  readonly snapshot: Snapshot;
  /** The snapshot sees everything that commits before this position. */
  readonly from: Lsn;
  /** Later than everything that the snapshot sees. */
  readonly to: Lsn;
}

/**
 * Whether one of the snapshots sees transactions of a parent and a child in another order than they were committed: the
 * later one, and not the earlier one. Its join then differs from the feed.
 */
export async function isOutOfOrder(control: Queryable, seen: readonly SeenSnapshot[]): Promise<boolean> {
  const { rows } = await control.query<{ is_out: boolean }>(
    `select exists (
       select from unnest($1::pg_lsn[], $2::pg_lsn[], $3::text[]) as s (from_lsn, to_lsn, snapshot)
       cross join lateral (
         select min(commit_lsn) filter (where not is_seen and has_routes) as unseen_parent,
           max(commit_lsn) filter (where is_seen and has_references) as seen_child,
           min(commit_lsn) filter (where not is_seen and has_references) as unseen_child,
           max(commit_lsn) filter (where is_seen and has_routes) as seen_parent
         from (
           select commit_lsn, has_routes, has_references, pg_visible_in_snapshot(xid, s.snapshot::pg_snapshot) as is_seen
           from route_commits where generation = (select generation from route_state)
             and commit_lsn >= s.from_lsn and commit_lsn < s.to_lsn
         ) c
       ) c
       where c.unseen_parent < c.seen_child or c.unseen_child < c.seen_parent
     ) as is_out`,
    [
      seen.map(({ from }) => formatLsn(from)),
      seen.map(({ to }) => formatLsn(to)),
      seen.map(({ snapshot }) => formatSnapshot(snapshot)),
    ],
  );
  return rows[0]?.is_out === true;
}

/** Long after its deletion, nothing in the stream refers to a record. */
const SWEEP_AFTER = '7 days';
/** An export that does not run yet needs no earlier commit. */
const SWEEP_COMMITS_AFTER = '1 hour';
const SWEEP_LIMIT = 10_000;

/** Removes routes of earlier generations, up to a limit. @returns whether there may be more */
export async function sweepGenerations(control: Queryable, generation: string): Promise<boolean> {
  let isMore = false;
  for (const table of ['routes', 'route_references', 'route_commits']) {
    const { rowCount } = await control.query(
      `delete from ${table} where ctid = any (array(
         select ctid from ${table} where generation < $1 limit ${SWEEP_LIMIT}))`,
      [generation],
    );
    if (rowCount === SWEEP_LIMIT) isMore = true;
  }
  return isMore;
}

/**
 * Removes routes of records that were deleted long ago, and commits that no export needs, up to a limit. An export
 * needs those from its settled position on, and a chunked one from the start of its read, also after a pause.
 *
 * @param beforeLsn position that the stream has passed and will not send again
 * @returns whether there may be more
 */
export async function sweepRoutes(control: Queryable, generation: string, beforeLsn: Lsn): Promise<boolean> {
  const { rows } = await control.query<{ count: string }>(
    `with gone as (
       select resource, key, since_lsn from routes
       where generation = $1 and is_deleted and written_at < now() - interval '${SWEEP_AFTER}' and since_lsn < $2
       order by written_at limit ${SWEEP_LIMIT}
     ), removed as (
       delete from routes r using gone g
       where r.generation = $1 and r.resource = g.resource and r.key = g.key and r.since_lsn <= g.since_lsn
     )
     select count(*)::text as count from gone`,
    [generation, formatLsn(beforeLsn)],
  );
  const commits = await control.query(
    `delete from route_commits where ctid = any (array(
       select ctid from route_commits where generation = $1 and commit_lsn < least($2::pg_lsn,
         (select min(settled_lsn) from feed_state),
         (select min(least(start_lsn, (read_since->>'start_lsn')::pg_lsn)) from exports
          where status in ('pending', 'running', 'paused', 'cancelling')))
       order by commit_lsn limit ${SWEEP_LIMIT}
     )) and written_at < now() - interval '${SWEEP_COMMITS_AFTER}'`,
    [generation, formatLsn(beforeLsn)],
  );
  return Number(rows[0]?.count ?? 0) === SWEEP_LIMIT || commits.rowCount === SWEEP_LIMIT;
}
