import type { Pool } from 'pg';
import { formatLsn, type Lsn, parseLsn } from '../domain/lsn.ts';
import { parseSnapshot, type Snapshot } from '../domain/snapshot.ts';
import type { Queryable } from '../postgres/queryable.ts';
import { inTransaction } from '../postgres/transaction.ts';

/** Whose a record is from a commit on. */
export interface Route {
  readonly resource: string;
  readonly key: string;
  /** Position of the commit; 0 for what the generation's snapshot holds. */
  readonly sinceLsn: Lsn;
  /** The account, or the parent's key. Null: nobody's. */
  readonly owner: string | null;
  readonly isDeleted: boolean;
}

/** What the routes hold: the records of a snapshot, and all that followed up to a position. */
export interface RouteState {
  readonly generation: string;
  /** Null until the generation is whole. */
  readonly fingerprint: string | null;
  readonly systemId: string;
  readonly timeline: number;
  readonly snapshot: Snapshot | null;
  /** Nothing behind it is in the snapshot. */
  readonly snapshotLsn: Lsn;
  readonly completeTo: Lsn;
}

/** Another capture session has taken the routes over. */
export class RoutesLostError extends Error {
  override readonly name = 'RoutesLostError';
}

interface StateRow {
  generation: string;
  fingerprint: string | null;
  system_id: string;
  timeline: number;
  snapshot: string | null;
  snapshot_lsn: string | null;
  complete_to: string | null;
}

const COLUMNS =
  'generation::text, fingerprint, system_id, timeline, snapshot, snapshot_lsn::text, complete_to::text';

/** Takes the routes over: writes of an earlier owner fail from here on. @returns undefined when there are none yet */
export async function takeRoutes(control: Queryable, owner: string): Promise<RouteState | undefined> {
  const { rows } = await control.query<StateRow>(`update route_state set owner = $1 returning ${COLUMNS}`, [
    owner,
  ]);
  return rows[0] && toState(rows[0]);
}

function toState(row: StateRow): RouteState {
  return {
    generation: row.generation,
    fingerprint: row.fingerprint,
    systemId: row.system_id,
    timeline: row.timeline,
    snapshot: row.snapshot === null ? null : parseSnapshot(row.snapshot),
    snapshotLsn: row.snapshot_lsn === null ? 0n : parseLsn(row.snapshot_lsn),
    completeTo: row.complete_to === null ? 0n : parseLsn(row.complete_to),
  };
}

/** Begins an empty generation, which nobody may use until `finishGeneration`. @returns its number */
export async function beginGeneration(
  control: Queryable,
  owner: string,
  server: { readonly systemId: string; readonly timeline: number },
): Promise<string> {
  const { rows } = await control.query<{ generation: string }>(
    `insert into route_state as s (owner, generation, system_id, timeline) values ($1, 1, $2, $3)
     on conflict (is_only) do update set owner = excluded.owner, generation = s.generation + 1, fingerprint = null,
       system_id = excluded.system_id, timeline = excluded.timeline, snapshot = null, snapshot_lsn = null, complete_to = null
     returning generation::text`,
    [owner, server.systemId, server.timeline],
  );
  return rows[0]?.generation ?? '';
}

/** The generation holds everything that the snapshot holds. @throws RoutesLostError */
export async function finishGeneration(
  control: Queryable,
  owner: string,
  state: {
    readonly fingerprint: string;
    readonly snapshot: string;
    readonly snapshotLsn: string;
    readonly completeTo: Lsn;
  },
): Promise<void> {
  const { rowCount } = await control.query(
    'update route_state set fingerprint = $2, snapshot = $3, snapshot_lsn = $4, complete_to = $5 where owner = $1',
    [owner, state.fingerprint, state.snapshot, state.snapshotLsn, formatLsn(state.completeTo)],
  );
  if (rowCount !== 1) throw lost();
}

/** Marks the generation as unusable, so that the next session begins another. */
export async function discardGeneration(control: Queryable, owner: string): Promise<void> {
  await control.query('update route_state set fingerprint = null where owner = $1', [owner]);
}

/**
 * Adds routes, and says that all before a position are there. A route that is there already is given the later owner, so a
 * transaction may be written in parts and more than once.
 *
 * @param completeTo undefined while a transaction is written in parts
 * @throws RoutesLostError when another session has taken the routes over
 */
export async function addRoutes(
  control: Pool,
  owner: string,
  generation: string,
  routes: readonly Route[],
  completeTo: Lsn | undefined,
): Promise<void> {
  await inTransaction(control, async (db) => {
    const held = await db.query(
      `update route_state set complete_to = greatest(complete_to, coalesce($3::pg_lsn, complete_to))
       where owner = $1 and generation = $2`,
      [owner, generation, completeTo === undefined ? null : formatLsn(completeTo)],
    );
    if (held.rowCount !== 1) throw lost();
    if (routes.length > 0) await insertRoutes(db, generation, routes);
  });
}

async function insertRoutes(db: Queryable, generation: string, routes: readonly Route[]): Promise<void> {
  await db.query(
    `insert into routes (generation, resource, key, since_lsn, owner, is_deleted)
     select $1, r.* from unnest($2::text[], $3::text[], $4::pg_lsn[], $5::text[], $6::boolean[])
       as r (resource, key, since_lsn, owner, is_deleted)
     on conflict (generation, resource, key, since_lsn) do update
       set owner = excluded.owner, is_deleted = excluded.is_deleted, written_at = now()`,
    [
      generation,
      routes.map(({ resource }) => resource),
      routes.map(({ key }) => key),
      routes.map(({ sinceLsn }) => formatLsn(sinceLsn)),
      routes.map(({ owner }) => owner),
      routes.map(({ isDeleted }) => isDeleted),
    ],
  );
}

/** All routes of these records, oldest first. */
export async function readRoutes(
  control: Queryable,
  generation: string,
  records: readonly { readonly resource: string; readonly key: string }[],
): Promise<Route[]> {
  const { rows } = await control.query<{
    resource: string;
    key: string;
    since_lsn: string;
    owner: string | null;
    is_deleted: boolean;
  }>(
    `select r.resource, r.key, r.since_lsn::text, r.owner, r.is_deleted
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
  }));
}

/** Long after their delete nothing in the stream refers to a record any more. */
const SWEEP_AFTER = '7 days';
const SWEEP_LIMIT = 10_000;

/** Removes routes of earlier generations, up to a limit. @returns whether there may be more */
export async function sweepGenerations(control: Queryable, generation: string): Promise<boolean> {
  const { rowCount } = await control.query(
    `delete from routes where ctid = any (array(
       select ctid from routes where generation < $1 limit ${SWEEP_LIMIT}))`,
    [generation],
  );
  return rowCount === SWEEP_LIMIT;
}

/**
 * Removes routes of records that were deleted long ago, up to a limit.
 *
 * @param beforeLsn what the stream has passed and will not send again
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
  return Number(rows[0]?.count ?? 0) === SWEEP_LIMIT;
}

/** The snapshot that the routes of these paths begin with; undefined while they are not whole. */
export async function readRoutesSnapshot(control: Queryable, paths: string): Promise<Snapshot | undefined> {
  const { rows } = await control.query<{ snapshot: string | null }>(
    `select snapshot from route_state where split_part(fingerprint, '/', 1) = $1`,
    [paths],
  );
  const snapshot = rows[0]?.snapshot ?? null;
  return snapshot === null ? undefined : parseSnapshot(snapshot);
}

/** Whether capture knows the accounts by these paths for every snapshot that is taken from now on. */
export async function areRoutesWhole(control: Queryable, paths: string): Promise<boolean> {
  const { rows } = await control.query<{ is_whole: boolean }>(
    `select coalesce((select split_part(fingerprint, '/', 1) = $1 from route_state), false) as is_whole`,
    [paths],
  );
  return rows[0]?.is_whole === true;
}

const lost = () => new RoutesLostError('another capture session has taken the routes over');
