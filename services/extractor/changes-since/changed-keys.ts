import type { Pool } from 'pg';
import { announceKeys } from '../../../shared/control/exports/changed-keys.ts';
import type { ClaimedExport } from '../../../shared/control/exports/queue-exports.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { inTransaction } from '../../../shared/postgres/transaction.ts';
import { ExportFailedError } from '../extraction-errors.ts';
import type { BaseExport } from './find-base.ts';
import { type KeyColumn, keyOrderSql } from './keyed-queries.ts';

/** Sorting the keys of a busy account takes longer than any other statement in the control store. */
const FILL_TIMEOUT = '10min';

/**
 * Events of the run's account since the base: not in the base's snapshot (`$4`, compared up to its seal `$5`) and in
 * the current one (`$6`), whose seal has arrived. A reset of unknown origin (xid 0) always counts.
 */
const SINCE_BASE = `
  from exports e join events v on v.account_id = e.account_id
  where e.id = $1 and e.run_attempt = $2
    and v.commit_lsn > $3::pg_lsn and v.commit_lsn <= e.sealed_lsn
    and (v.xid = 0 or (
      not (v.commit_lsn <= $5::pg_lsn and pg_visible_in_snapshot(v.xid::text::xid8, $4::pg_snapshot))
      and pg_visible_in_snapshot(v.xid::text::xid8, $6::pg_snapshot)))`;

const since = ({ id, runAttempt }: ClaimedExport, base: BaseExport, snapshot: string) => [
  id,
  runAttempt,
  base.startLsn,
  base.snapshot,
  base.sealedLsn,
  snapshot,
];

/** A loss is announced where it is noticed. That can be after the seal although the lost changes were before it. */
const FIND_RESET = `
select v.resource ${SINCE_BASE} and v.type = 'feed.reset' and v.resource = any($7)
union all
select v.resource from exports e join events v on v.account_id = e.account_id
where e.id = $1 and v.commit_lsn > $3::pg_lsn and v.xid = 0 and v.type = 'feed.reset' and v.resource = any($7)
limit 1`;

/** @throws ExportFailedError when a table was truncated or changes may be lost, so rows have no events */
export async function assertNoReset(
  db: Queryable,
  claim: ClaimedExport,
  base: BaseExport,
  snapshot: string,
): Promise<void> {
  const { rows } = await db.query<{ resource: string }>(FIND_RESET, [
    ...since(claim, base, snapshot),
    claim.resources,
  ]);
  const resource = rows[0]?.resource;
  if (resource === undefined) return;
  throw new ExportFailedError(
    'feed_reset',
    `Since the export ${base.exportId}, ${resource} was truncated, or its changes may be incomplete: ` +
      'create an export without changes_since.',
  );
}

/**
 * Collects the keys of one resource's changed records, in order, for this run only. A record whose first change since the base
 * is its insert was not in the base, so its deletion is not reported.
 *
 * @returns their number
 */
export async function collectKeys(
  pool: Pool,
  claim: ClaimedExport,
  base: BaseExport,
  snapshot: string,
  resource: string,
  keyColumns: readonly KeyColumn[],
): Promise<number> {
  const order = keyColumns.map((column, at) => keyOrderSql(column, `(k.record_key::jsonb->>${at})`));
  await announceKeys(pool, claim.id);
  return inTransaction(pool, async (db) => {
    await db.query(`set local statement_timeout = '${FILL_TIMEOUT}'`);
    const { rowCount } = await db.query(
      `insert into export_keys (export_id, run_attempt, resource, place, record_key, was_in)
       select $1, $2, $7, row_number() over (order by ${order.join(', ')}) - 1, k.record_key, k.op is distinct from 'insert'
       from (
         select distinct on (v.record_key) v.record_key, v.op ${SINCE_BASE} and v.resource = $7 and v.type <> 'feed.reset'
         order by v.record_key, v.commit_lsn, v.idx
       ) k`,
      [...since(claim, base, snapshot), resource],
    );
    return rowCount ?? 0;
  });
}

/** Keys from a place on, in order. */
export async function readKeyPage(
  db: Queryable,
  { id, runAttempt }: ClaimedExport,
  resource: string,
  fromPlace: number,
  limit: number,
): Promise<string[]> {
  const { rows } = await db.query<{ record_key: string }>(
    `select record_key from export_keys
     where export_id = $1 and run_attempt = $2 and resource = $3 and place >= $4 order by place limit $5`,
    [id, runAttempt, resource, fromPlace, limit],
  );
  return rows.map((row) => row.record_key);
}

/** Assigns the keys at these places to the chunk. */
export async function assignKeys(
  db: Queryable,
  { id, runAttempt }: ClaimedExport,
  resource: string,
  chunk: number,
  places: readonly number[],
): Promise<void> {
  const { rowCount } = await db.query(
    `update export_keys set chunk = $4
     where export_id = $1 and run_attempt = $2 and resource = $3 and place = any($5::bigint[])`,
    [id, runAttempt, resource, chunk, places],
  );
  if (rowCount !== places.length) throw new Error(`the keys of chunk ${chunk} of ${resource} are gone`);
}

/** The keys of a chunk's rows, in order. */
export async function readChunkKeys(
  db: Queryable,
  chunk: {
    readonly exportId: string;
    readonly runAttempt: number;
    readonly resource: string;
    readonly chunk: number;
  },
): Promise<string[]> {
  const { rows } = await db.query<{ record_key: string }>(
    `select record_key from export_keys
     where export_id = $1 and run_attempt = $2 and resource = $3 and chunk = $4 order by place`,
    [chunk.exportId, chunk.runAttempt, chunk.resource, chunk.chunk],
  );
  return rows.map((row) => row.record_key);
}
