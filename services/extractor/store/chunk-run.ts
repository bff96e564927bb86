import type { Pool } from 'pg';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { inTransaction } from '../../../shared/postgres/transaction.ts';
import type { ClaimedChunk } from './claim-chunk.ts';
import { LEASE_SECONDS } from './lease.ts';

/** Fences a statement: `$1` to `$5` are those of `fence`. */
const HELD = `c.export_id = $1 and c.resource = $2 and c.chunk = $3 and c.attempt = $4 and c.lease_owner = $5
  and c.state = 'reading'`;

const fence = ({ exportId, resource, chunk, attempt, owner }: ClaimedChunk) => [
  exportId,
  resource,
  chunk,
  attempt,
  owner,
];

const RENEW = `
update export_chunks c set lease_expires_at = now() + $6 * interval '1 second', rows_extracted = $7
from exports e
where ${HELD} and e.id = c.export_id and e.status = 'running' and e.run_attempt = c.run_attempt`;

/** Never goes down, also when a chunk is read again. */
const SUM_EXTRACTED = `
update exports set rows_extracted = greatest(rows_extracted,
  (select coalesce(sum(rows_extracted), 0) from export_chunks where export_id = $1))
where id = $1 and status = 'running'`;

/**
 * Renews the lease and shows progress.
 *
 * @returns false when the try is over: the export was cancelled or ended, or another process has the chunk
 */
export async function renewChunk(db: Queryable, claim: ClaimedChunk, rowCount: number): Promise<boolean> {
  const renewed = await db.query({
    name: 'renew_chunk',
    text: RENEW,
    values: [...fence(claim), LEASE_SECONDS, rowCount],
  });
  if (renewed.rowCount !== 1) return false;
  await db.query({ name: 'sum_extracted', text: SUM_EXTRACTED, values: [claim.exportId] });
  return true;
}

/**
 * All rows are acknowledged. The export's row is locked first, so that of two chunks finished at once the second sees
 * the first's rows in the sum.
 *
 * @returns false when the try is no longer this reader's; nothing is changed then
 */
export function finishChunk(pool: Pool, claim: ClaimedChunk, rowCount: number): Promise<boolean> {
  return inTransaction(pool, async (db) => {
    await db.query("select from exports where id = $1 and status = 'running' for update", [claim.exportId]);
    const finished = await db.query(
      `update export_chunks c set state = 'extracted', rows_extracted = $6, lease_owner = null, lease_expires_at = null
       from exports e
       where ${HELD} and e.id = c.export_id and e.status = 'running' and e.run_attempt = c.run_attempt`,
      [...fence(claim), rowCount],
    );
    if (finished.rowCount !== 1) return false;
    await db.query(SUM_EXTRACTED, [claim.exportId]);
    return true;
  });
}

/** Gives the chunk back unread, to be claimed again after `delayMs`. `isCounted: false` holds this try not against it. */
export async function releaseChunk(
  db: Queryable,
  claim: ClaimedChunk,
  { delayMs, isCounted }: { delayMs: number; isCounted: boolean },
): Promise<void> {
  await db.query(
    `update export_chunks c set state = 'planned', tries = c.tries - $7, rows_extracted = 0, lease_owner = null,
       lease_expires_at = now() + $6 * interval '1 millisecond'
     where ${HELD}`,
    [...fence(claim), delayMs, isCounted ? 0 : 1],
  );
}
