import type { Pool } from 'pg';
import type { Queryable } from '../../postgres/queryable.ts';
import { quoteLiteral } from '../../postgres/quote.ts';
import { inTransaction } from '../../postgres/transaction.ts';
import type { StoredSeen } from '../exports/chunked-reading.ts';
import type { Ending } from '../exports/export-run.ts';
import { EXPORT_LEASE_SECONDS } from '../leases.ts';
import type { ChunkBatch } from './claim-chunk.ts';

// A reader's lease on the chunks that it has claimed: renewed, and at last finished or released.

/** The batch's chunks. `$1` to `$5` are those of `fence`; `$6` is a number per chunk. */
const OURS = `unnest($4::text[], $5::int[], $6::bigint[]) as n(resource, chunk, rows)
  join export_chunks c on c.export_id = $1 and c.resource = n.resource and c.chunk = n.chunk
    and c.attempt = $2 and c.lease_owner = $3 and c.state = 'reading'`;

/** Every statement that changes several chunks locks them in this order, so that no two can deadlock. */
const LOCKED = 'order by c.resource, c.chunk for no key update of c';

/** Fences a statement. */
const HELD = `
with held as (
  select c.resource, c.chunk, n.rows from ${OURS}
  join exports e on e.id = c.export_id and e.status = 'running' and e.run_attempt = c.run_attempt
  ${LOCKED}
)`;

const IS_HELD = 'c.export_id = $1 and c.resource = h.resource and c.chunk = h.chunk';

const fence = (batch: ChunkBatch) => {
  const [{ exportId, attempt, owner }] = batch;
  return [exportId, attempt, owner, batch.map(({ resource }) => resource), batch.map(({ chunk }) => chunk)];
};

const RENEW = `${HELD}
update export_chunks c set lease_expires_at = now() + $7 * interval '1 second', rows_extracted = h.rows
from held h where ${IS_HELD}`;

/** Never decreases, even when a chunk is read again. */
const SUM_EXTRACTED = `
update exports set rows_extracted = greatest(rows_extracted,
  (select coalesce(sum(rows_extracted), 0) from export_chunks where export_id = $1))
where id = $1 and status = 'running'`;

/**
 * Renews the leases and shows progress, in rows of each chunk.
 *
 * @returns false when the attempt has ended: the export was cancelled or ended, or another process has a chunk
 */
export async function renewChunks(
  db: Queryable,
  batch: ChunkBatch,
  rowCounts: readonly number[],
): Promise<boolean> {
  const renewed = await db.query({
    name: 'renew_chunks',
    text: RENEW,
    values: [...fence(batch), rowCounts, EXPORT_LEASE_SECONDS],
  });
  if (renewed.rowCount !== batch.length) return false;
  await db.query({ name: 'sum_extracted', text: SUM_EXTRACTED, values: [batch[0].exportId] });
  return true;
}

const PLAN_ROWS = `${HELD}
update export_chunks c set rows_planned = h.rows from held h where ${IS_HELD}`;

/**
 * Stores the row counts of chunks with snapshots of their own, as counted under them. Call it before the first row is
 * sent: the writer compares with it.
 *
 * @returns false when another reader has the chunks
 */
export async function planRows(
  db: Queryable,
  batch: ChunkBatch,
  rowCounts: readonly number[],
): Promise<boolean> {
  const { rowCount } = await db.query({
    name: 'plan_rows',
    text: PLAN_ROWS,
    values: [...fence(batch), rowCounts],
  });
  return rowCount === batch.length;
}

/** A chunk with all rows acknowledged. */
export interface ReadChunk {
  readonly rows: number;
  /** The packed keys of its rows, for a chunk with a snapshot of its own. */
  readonly recordKeys: Buffer | null;
  /** For a chunk read from a replica: everything in it was written before this position, `X/Y`. */
  readonly readLsn: string | null;
  /** For a chunk read from the primary whose records have a parent's account: its snapshot. */
  readonly seen: StoredSeen | null;
}

/**
 * All or none: if another reader has one of the chunks, this one was too slow for all of them. The next run of a chunked
 * export keeps a chunk that was read, so this run has made progress.
 */
const FINISH = `${HELD}, finished as (
  update export_chunks c set state = 'extracted', rows_extracted = h.rows, extracted_at = now(), lease_owner = null,
    lease_expires_at = null, record_keys = n.record_keys, read_lsn = n.read_lsn, seen = n.seen::jsonb,
    -- A chunk with a snapshot of its own may have no row, and then no writer hears of it.
    rows_written = case when n.record_keys is not null and h.rows = 0 then 0 else c.rows_written end
  from held h join unnest($4::text[], $5::int[], $7::bytea[], $8::pg_lsn[], $9::text[])
    as n(resource, chunk, record_keys, read_lsn, seen) using (resource, chunk)
  where ${IS_HELD} and (select count(*) from held) = cardinality($5::int[])
  returning c.resource, c.chunk, c.rows_extracted
)
update exports e set
  rows_extracted = greatest(e.rows_extracted, (select sum(rows_extracted) from finished) + (
    select coalesce(sum(c.rows_extracted), 0) from export_chunks c
    where c.export_id = $1 and (c.resource, c.chunk) not in (select resource, chunk from finished)
  )),
  run_count = case when e.snapshot_kind = 'chunked' then 1 else e.run_count end,
  failed_runs = case when e.snapshot_kind = 'chunked' then 0 else e.failed_runs end,
  setback_runs = case when e.snapshot_kind = 'chunked' then 0 else e.setback_runs end,
  gave_way_runs = case when e.snapshot_kind = 'chunked' then 0 else e.gave_way_runs end
where e.id = $1 and exists (select from finished)`;

/**
 * Finishes chunks with all rows acknowledged. An earlier statement locks the export's row, so that of two batches
 * finished at once the second includes the first's rows in the sum.
 *
 * @returns false, without a change, when another reader has the chunks
 */
export function finishChunks(pool: Pool, batch: ChunkBatch, read: readonly ReadChunk[]): Promise<boolean> {
  const [{ exportId }] = batch;
  const finish = async (db: Queryable) => {
    const { rowCount } = await db.query({
      name: 'finish_chunks',
      text: FINISH,
      values: [
        ...fence(batch),
        read.map(({ rows }) => rows),
        read.map(({ recordKeys }) => recordKeys),
        read.map(({ readLsn }) => readLsn),
        read.map(({ seen }) => seen && JSON.stringify(seen)),
      ],
    });
    return rowCount === 1;
  };
  return inTransaction(pool, finish, `select from exports where id = ${quoteLiteral(exportId)} for update`);
}

/**
 * Releases the chunks unread, to be claimed again after `delayMs`.
 *
 * @returns false when another reader has the chunks
 */
export async function releaseChunks(
  db: Queryable,
  batch: ChunkBatch,
  { delayMs, ending }: { delayMs: number; ending: Ending },
): Promise<boolean> {
  const { rowCount } = await db.query(
    `with held as (select c.resource, c.chunk from ${OURS} ${LOCKED})
     update export_chunks c set state = 'planned', tries = c.tries - $8, setbacks = c.setbacks + $9, gave_way = c.gave_way + $10,
       rows_extracted = 0, started_at = null, lease_owner = null,
       lease_expires_at = now() + $7 * interval '1 millisecond'
     from held h where ${IS_HELD}`,
    [
      ...fence(batch),
      batch.map(() => 0),
      delayMs,
      ending === 'unexplained' ? 0 : 1,
      ending === 'setback' ? 1 : 0,
      ending === 'gave_way' ? 1 : 0,
    ],
  );
  return rowCount === batch.length;
}

/**
 * Releases the chunks of a chunked export, and makes its holder read everything under one snapshot. It locks the
 * export's row first: the holder waits as long as this reader has a chunk, so it can't be past the read.
 *
 * @param reason for the customer
 */
export function endChunkedReading(
  pool: Pool,
  batch: ChunkBatch,
  reason: string,
  delayMs: number,
): Promise<void> {
  return inTransaction(pool, async (db) => {
    const [{ exportId }] = batch;
    await db.query('select from exports where id = $1 for update', [exportId]);
    if (!(await releaseChunks(db, batch, { delayMs, ending: 'let_go' }))) return;
    await db.query(
      `update exports set snapshot_kind = 'single', snapshot_reason = $2
       where id = $1 and status = 'running' and snapshot_kind = 'chunked'`,
      [exportId, reason],
    );
  });
}
