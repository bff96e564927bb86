import type { Pool } from 'pg';
import { inTransaction } from '../../../shared/postgres/transaction.ts';
import { lockQuota, moveQuota } from '../../../shared/store/bulk-quota.ts';
import type { ClaimedChunk } from './claim-chunk.ts';

/** How many items may be processed now. `exhausted`: none before the quota is filled again. */
export type Reservation =
  | { readonly kind: 'granted'; readonly count: number }
  /** Everything left is set aside for chunks in hand, which may give some of it back. */
  | { readonly kind: 'wait' }
  | { readonly kind: 'exhausted' }
  /** The chunk is no longer ours. */
  | { readonly kind: 'lost' };

/** Sets quota aside before items are touched, so that no number of workers goes over it. */
export function reserveQuota(
  pool: Pool,
  claim: ClaimedChunk,
  wanted: number,
  nowMs: number,
): Promise<Reservation> {
  return inTransaction(pool, async (db) => {
    const { limit, used, reserved, span } = await lockQuota(db, claim.accountId, nowMs);
    if (limit !== null && used >= limit) return { kind: 'exhausted' };
    const count = limit === null ? wanted : Math.min(wanted, limit - used - reserved);
    if (count <= 0) return { kind: 'wait' };
    const { rowCount } = await db.query(
      `update bulk_chunks set reserved = $5, quota_span = $6::tstzrange
       where job_id = $1 and chunk = $2 and attempt = $3 and lease_owner = $4 and state = 'working'`,
      [claim.jobId, claim.chunk, claim.attempt, claim.owner, count, span],
    );
    if (rowCount !== 1) return { kind: 'lost' };
    await moveQuota(db, claim.accountId, span, { used: 0, reserved: count });
    return { kind: 'granted', count };
  });
}
