import type { Pool } from 'pg';
import type { Queryable } from '../../postgres/queryable.ts';
import { inTransaction } from '../../postgres/transaction.ts';
import { LEASE_SECONDS } from '../export-lease.ts';
import type { ChunkBatch } from './claim-chunk.ts';

/** The lot's chunks; `$1` to `$5` are those of `fence`, `$6` is a number for each chunk. */
const OURS = `unnest($4::text[], $5::int[], $6::bigint[]) as n(resource, chunk, rows)
  join export_chunks c on c.export_id = $1 and c.resource = n.resource and c.chunk = n.chunk
    and c.attempt = $2 and c.lease_owner = $3 and c.state = 'reading'`;

/** Whoever changes several chunks locks them in this order, so that no two wait for each other. */
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

/** Never goes down, also when a chunk is read again. */
const SUM_EXTRACTED = `
update exports set rows_extracted = greatest(rows_extracted,
  (select coalesce(sum(rows_extracted), 0) from export_chunks where export_id = $1))
where id = $1 and status = 'running'`;

/**
 * Renews the leases and shows progress, in rows of each chunk.
 *
 * @returns false when the try is over: the export was cancelled or ended, or another process has a chunk
 */
export async function renewChunks(
  db: Queryable,
  batch: ChunkBatch,
  rowCounts: readonly number[],
): Promise<boolean> {
  const renewed = await db.query({
    name: 'renew_chunks',
    text: RENEW,
    values: [...fence(batch), rowCounts, LEASE_SECONDS],
  });
  if (renewed.rowCount !== batch.length) return false;
  await db.query({ name: 'sum_extracted', text: SUM_EXTRACTED, values: [batch[0].exportId] });
  return true;
}

/** All or none: a chunk that is another reader's now says that this one was too slow for all of them. */
const FINISH = `${HELD}
update export_chunks c set state = 'extracted', rows_extracted = h.rows, extracted_at = now(), lease_owner = null,
  lease_expires_at = null
from held h where ${IS_HELD} and (select count(*) from held) = cardinality($5::int[])`;

/**
 * All rows are acknowledged. The export's row is locked first, so that of two lots finished at once the second sees
 * the first's rows in the sum.
 *
 * @returns false when the try is no longer this reader's; nothing is changed then
 */
export function finishChunks(pool: Pool, batch: ChunkBatch, rowCounts: readonly number[]): Promise<boolean> {
  return inTransaction(pool, async (db) => {
    const [{ exportId }] = batch;
    await db.query("select from exports where id = $1 and status = 'running' for update", [exportId]);
    const finished = await db.query(FINISH, [...fence(batch), rowCounts]);
    if (finished.rowCount !== batch.length) return false;
    await db.query(SUM_EXTRACTED, [exportId]);
    return true;
  });
}

/** Gives the chunks back unread, to be claimed again after `delayMs`. `isCounted: false` holds this try not against them. */
export async function releaseChunks(
  db: Queryable,
  batch: ChunkBatch,
  { delayMs, isCounted }: { delayMs: number; isCounted: boolean },
): Promise<void> {
  await db.query(
    `with held as (select c.resource, c.chunk from ${OURS} ${LOCKED})
     update export_chunks c set state = 'planned', tries = c.tries - $8, rows_extracted = 0, started_at = null, lease_owner = null,
       lease_expires_at = now() + $7 * interval '1 millisecond'
     from held h where ${IS_HELD}`,
    [...fence(batch), batch.map(() => 0), delayMs, isCounted ? 0 : 1],
  );
}
