import type { Pool } from 'pg';
import { inTransaction } from '../../postgres/transaction.ts';
import { lockQuota, moveQuota } from './bulk-quota.ts';
import type { ClaimedChunk } from './claim-chunk.ts';

/** How many items may be processed now. `exhausted`: none before the quota is filled again. */
export type Reservation =
  | { readonly kind: 'granted'; readonly count: number }
  /** Everything left is set aside for chunks in hand, which may give some of it back. */
  | { readonly kind: 'wait' }
  | { readonly kind: 'exhausted' }
  /** The chunk is no longer ours. */
  | { readonly kind: 'lost' };

/**
 * Sets quota aside before items are touched, so that no number of workers goes over it. What the chunk had set aside before is free
 * again in the same moment; whoever has it must have reported what became of that.
 */
export function reserveQuota(
  pool: Pool,
  claim: ClaimedChunk,
  wanted: number,
  nowMs: number,
): Promise<Reservation> {
  return inTransaction(pool, async (db) => {
    // The chunk before the quota, as reports take them.
    const { rows } = await db.query<{ reserved: number; quota_span: string | null }>(
      `select reserved, quota_span::text from bulk_chunks
       where job_id = $1 and chunk = $2 and attempt = $3 and lease_owner = $4 and state = 'working' for update`,
      [claim.jobId, claim.chunk, claim.attempt, claim.owner],
    );
    const held = rows[0];
    if (held === undefined) return { kind: 'lost' };
    if (held.quota_span !== null) {
      await moveQuota(db, claim.accountId, held.quota_span, { used: 0, reserved: -held.reserved });
    }
    const { limit, used, reserved, span } = await lockQuota(db, claim.accountId, nowMs);
    const count = limit === null ? wanted : Math.max(0, Math.min(wanted, limit - used - reserved));
    await db.query(
      `update bulk_chunks set reserved = $3, quota_span = $4::tstzrange where job_id = $1 and chunk = $2`,
      [claim.jobId, claim.chunk, count, span],
    );
    await moveQuota(db, claim.accountId, span, { used: 0, reserved: count });
    if (count > 0) return { kind: 'granted', count };
    return { kind: limit !== null && used >= limit ? 'exhausted' : 'wait' };
  });
}
