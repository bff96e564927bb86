import type { Pool, PoolClient } from 'pg';
import { formatLsn, type Lsn, parseLsn } from '../domain/lsn.ts';
import type { Queryable } from '../postgres/queryable.ts';
import { inTransaction } from '../postgres/transaction.ts';
import { enqueueOutbox, type OutboxEntry } from './outbox.ts';

// A control store restored from a backup is behind Kafka, the slot, storage and what customers know. Its former state
// is also kept outside: in Kafka, with the offsets of the process that stores the feed's state.

/** The state that a control store had reached, from its `feed_state`. */
export interface StoreMark {
  readonly systemId: string;
  readonly timeline: number;
  readonly passedLsn: Lsn;
  /** `updated_at` of `feed_state`, by capture's clock. Undefined: an earlier version wrote the mark without it. */
  readonly updatedAtMs: number | undefined;
}

/** The control store is older than what a process has stored there: it was restored while processes ran. */
export class StoreOlderError extends Error {
  override readonly name = 'StoreOlderError';

  constructor() {
    super(
      'the control store is behind what was stored in it: it was restored from a backup. ' +
        'The next start of a dispatcher corrects it; see "Restoring the control store" in deploy/README.md',
    );
  }
}

export function formatStoreMark({ systemId, timeline, passedLsn, updatedAtMs }: StoreMark): string {
  const parts = [
    systemId,
    timeline,
    formatLsn(passedLsn),
    ...(updatedAtMs === undefined ? [] : [updatedAtMs]),
  ];
  return parts.join(' ');
}

/** @returns undefined for a text without a mark, as written by an earlier version */
export function parseStoreMark(text: string | null | undefined): StoreMark | undefined {
  const [, systemId, timeline, lsn, ms] =
    /^(\d+) (\d+) ([0-9A-F]+\/[0-9A-F]+)(?: (\d+))?$/.exec(text ?? '') ?? [];
  if (systemId === undefined || lsn === undefined) return undefined;
  return {
    systemId,
    timeline: Number(timeline),
    passedLsn: parseLsn(lsn),
    updatedAtMs: ms === undefined ? undefined : Number(ms),
  };
}

/** The later of two marks of one store, whose `updated_at` only grows. */
export function laterMark(one: StoreMark | undefined, two: StoreMark | undefined): StoreMark | undefined {
  if (one === undefined || two === undefined) return one ?? two;
  return (two.updatedAtMs ?? 0) > (one.updatedAtMs ?? 0) ? two : one;
}

/**
 * SQL that checks whether a `feed_state` is behind a mark. Positions of two servers can't be compared, so there the
 * time decides: the store has a new server's state before the mark has, and is ahead of it then. A mark without a time
 * decides nothing there.
 *
 * @param first the number of the first of three parameters: see `markValues`
 */
export const isBehindMark = (first: number): string =>
  `case when system_id = $${first}::text then passed_lsn < $${first + 1}::pg_lsn
        else coalesce(updated_at < to_timestamp($${first + 2}::double precision / 1000), false) end`;

/** The parameters of `isBehindMark`. */
export const markValues = (mark: StoreMark | undefined): readonly (string | number | null)[] => [
  mark?.systemId ?? null,
  mark === undefined ? null : formatLsn(mark.passedLsn),
  mark?.updatedAtMs ?? null,
];

/** @throws StoreOlderError when the store is behind `mark` */
export async function checkNotRestored(db: Queryable, mark: StoreMark): Promise<void> {
  const { rows } = await db.query<{ is_whole: boolean }>(
    `select exists (select from feed_state where not (${isBehindMark(1)})) as is_whole`,
    [...markValues(mark)],
  );
  if (rows[0]?.is_whole !== true) throw new StoreOlderError();
}

/** The correction of a restored store. */
export interface Correction {
  /** The feed's position in the backup. Null: the store was empty. */
  readonly storedLsn: string | null;
  readonly exports: number;
  readonly bulkJobs: number;
}

const ERROR = {
  code: 'control_store_restored',
  message:
    'Tandem was restored from a backup that was made while this job waited or ran. It may have ended since then. ' +
    'Create it again; the results of a bulk job show what it has done.',
};

/**
 * Corrects a store that is behind `mark`, so that its services can work with it. Several processes may call it at any
 * time: a store that is not behind stays unchanged.
 *
 * - Jobs that have not ended fail. An export may have been completed after the backup: another run would put other
 *   files under the same ID, and followers of the feed from the first ones would miss changes. A bulk job may have been
 *   cancelled, and may have listed its items.
 *
 * - Account events get numbers that were never used.
 *
 * - Changes-since and as-of exports from before `mark` are refused: for the time in between it is unknown whether
 *   resources were set aside, and which catalog capture used.
 *
 * @param resources of the catalog
 * @returns what was done; undefined when the store is not behind
 */
export function correctRestored(
  pool: Pool,
  mark: StoreMark,
  resources: readonly string[],
): Promise<Correction | undefined> {
  return inTransaction(pool, async (db) => {
    // Of two processes that start at the same time, the second finds the store corrected.
    await db.query('lock table feed_state in share row exclusive mode');
    const { rows } = await db.query<{ passed_lsn: string; is_behind: boolean }>(
      `select passed_lsn::text, ${isBehindMark(1)} as is_behind from feed_state`,
      [...markValues(mark)],
    );
    const [state] = rows;
    if (state?.is_behind === false) return undefined;
    await db.query(
      `select setval('account_event_numbers',
         greatest(nextval('account_event_numbers'), (extract(epoch from clock_timestamp()) * 1000)::bigint))`,
    );
    const exports = await endExports(db);
    const bulkJobs = await endBulkJobs(db);
    await db.query(
      `insert into feed_set_aside as a (resource, since_lsn, since_at, reason, detail, until_lsn, until_at)
       select resource, coalesce((select passed_lsn from feed_state), '0/0'),
         coalesce((select updated_at from feed_state), now()), 'control_store_restored', 'restored from a backup',
         $2::pg_lsn, now()
       from unnest($1::text[]) resource
       on conflict (resource, since_lsn) do update set until_lsn = greatest(a.until_lsn, excluded.until_lsn)
       where a.until_lsn is not null`,
      [resources, formatLsn(mark.passedLsn)],
    );
    await db.query(
      `insert into feed_state as f (settled_lsn, passed_lsn, system_id, timeline, updated_at)
       values ('0/0', $3, $1, $2, coalesce(to_timestamp($4::double precision / 1000), now()))
       on conflict (id) do update set passed_lsn = excluded.passed_lsn, system_id = excluded.system_id,
         timeline = excluded.timeline, updated_at = greatest(f.updated_at, to_timestamp($4::double precision / 1000)),
         settled_lsn = case when f.system_id = excluded.system_id then f.settled_lsn else '0/0' end`,
      [mark.systemId, mark.timeline, formatLsn(mark.passedLsn), mark.updatedAtMs ?? null],
    );
    return { storedLsn: state?.passed_lsn ?? null, exports, bulkJobs };
  });
}

async function endExports(db: PoolClient): Promise<number> {
  const { rows } = await db.query<{ id: string; status: 'failed' | 'cancelled' }>(
    `update exports set status = case status when 'cancelling' then 'cancelled' else 'failed' end, phase = 'done',
       error = case status when 'cancelling' then error else $1 end, completed_at = now(),
       lease_owner = null, lease_expires_at = null, assembly_owner = null, assembly_lease_expires_at = null
     where status in ('pending', 'running', 'paused', 'cancelling') returning id, status`,
    [JSON.stringify(ERROR)],
  );
  const entries = rows.map(({ id, status }): OutboxEntry => {
    const about = { job_id: id, kind: 'export' } as const;
    if (status === 'cancelled') return { topic: 'jobs', key: id, type: 'JobCancelled', payload: about };
    return { topic: 'jobs', key: id, type: 'JobFailed', payload: { ...about, ...ERROR } };
  });
  await enqueueOutbox(db, entries);
  return rows.length;
}

/** The jobs end once their counts equal the source's ledger, including chunks that were worked on after the backup. */
async function endBulkJobs(db: Queryable): Promise<number> {
  const { rows } = await db.query<{ id: string }>(
    `update bulk_jobs set ending = 'failed', error = $1, last_updated_at = clock_timestamp()
     where ending is null and status in ('pending', 'running', 'paused') returning id`,
    [JSON.stringify(ERROR)],
  );
  await db.query(
    `update bulk_chunks c set attempt = attempt + 1 from bulk_jobs j
     where j.id = c.job_id and j.ending is not null and j.status in ('pending', 'running', 'paused') and c.state = 'waiting'`,
  );
  return rows.length;
}
