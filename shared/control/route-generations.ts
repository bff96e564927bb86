import { formatLsn, type Lsn, parseLsn } from '../domain/lsn.ts';
import { parseSnapshot, type Snapshot } from '../domain/snapshot.ts';
import type { Queryable } from '../postgres/queryable.ts';

// The routes of records are read from the source in generations. `route_state` has the present one, and its owner.

/** What the routes hold: the records of a snapshot, and everything up to a later position. */
export interface RouteState {
  readonly generation: string;
  /** Null until the generation is complete. */
  readonly fingerprint: string | null;
  readonly systemId: string;
  readonly timeline: number;
  readonly snapshot: Snapshot | null;
  /** The snapshot sees nothing after this position. */
  readonly snapshotLsn: Lsn;
  readonly completeTo: Lsn;
}

/** Another capture session has taken over the routes. */
export class RoutesLostError extends Error {
  override readonly name = 'RoutesLostError';

  constructor() {
    super('another capture session has taken the routes over');
  }
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

/** Takes over the routes: writes of an earlier owner fail from now on. @returns undefined when there are none yet */
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

/** Starts an empty generation, which nobody may use until `finishGeneration`. @returns its number */
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

/** Marks the generation as complete with its snapshot. @throws RoutesLostError */
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
  if (rowCount !== 1) throw new RoutesLostError();
}

/** Marks the generation as unusable, so that the next session starts another. */
export async function discardGeneration(control: Queryable, owner: string): Promise<void> {
  await control.query('update route_state set fingerprint = null where owner = $1', [owner]);
}

/** The snapshot at the start of the routes of these paths; undefined while they are incomplete. */
export async function readRoutesSnapshot(control: Queryable, paths: string): Promise<Snapshot | undefined> {
  const { rows } = await control.query<{ snapshot: string | null }>(
    `select snapshot from route_state where split_part(fingerprint, '/', 1) = $1`,
    [paths],
  );
  const snapshot = rows[0]?.snapshot ?? null;
  return snapshot === null ? undefined : parseSnapshot(snapshot);
}

/**
 * Whether capture knows the accounts by these paths for every snapshot from now on.
 *
 * @returns the resources whose paths can't be followed and are excepted; undefined while it does not
 */
export async function readBrokenPaths(
  control: Queryable,
  paths: string,
): Promise<readonly string[] | undefined> {
  const { rows } = await control.query<{ broken: string }>(
    `select split_part(fingerprint, '/', 2) as broken from route_state where split_part(fingerprint, '/', 1) = $1`,
    [paths],
  );
  return rows[0]?.broken.split(',');
}
