import type { Pool } from 'pg';
import { type QuotaPeriod, type QuotaSpan, spanOf } from '../../domain/quota-period.ts';
import type { Queryable } from '../../postgres/queryable.ts';
import { inTransaction } from '../../postgres/transaction.ts';
import type { ClaimedChunk } from './claim-chunk.ts';

/** The number of items that an account may still process in its present period. */
export interface BulkQuota {
  /** Null: no limit. */
  readonly limit: number | null;
  readonly used: number;
  /** Reserved for items that workers have claimed. */
  readonly reserved: number;
  /** The period as a range of PostgreSQL. */
  readonly span: string;
  /** When the quota is full again. */
  readonly resetsAt: Date;
}

/** Quota reserved for a request under way. It expires if the process dies. */
export interface QuotaHold {
  readonly id: string;
  readonly accountId: string;
  readonly span: string;
  readonly items: number;
}

/** A span as a PostgreSQL range: first moment included, last excluded. */
export function toRange({ startMs, endMs }: QuotaSpan): string {
  return `[${new Date(startMs).toISOString()},${new Date(endMs).toISOString()})`;
}

export async function readQuota(db: Queryable, accountId: string, nowMs: number): Promise<BulkQuota> {
  return readUse(db, accountId, await presentSpan(db, accountId, nowMs));
}

/** Like `readQuota`, and locks the quota until the transaction ends. */
export async function lockQuota(db: Queryable, accountId: string, nowMs: number): Promise<BulkQuota> {
  const span = await presentSpan(db, accountId, nowMs);
  const values = [accountId, toRange(span)];
  await db.query({
    name: 'bulk_add_quota_use',
    text: `insert into bulk_quota_use (account_id, span) values ($1, $2::tstzrange) on conflict do nothing`,
    values,
  });
  await db.query({
    name: 'bulk_lock_quota_use',
    text: `select from bulk_quota_use where account_id = $1 and span = $2::tstzrange for update`,
    values,
  });
  return readUse(db, accountId, span);
}

async function presentSpan(db: Queryable, accountId: string, nowMs: number): Promise<QuotaSpan> {
  const { rows } = await db.query<{ period: QuotaPeriod }>({
    name: 'bulk_quota_period',
    text: 'select bulk_quota_period as period from accounts where id = $1',
    values: [accountId],
  });
  return spanOf(rows[0]?.period ?? 'month', nowMs);
}

async function readUse(db: Queryable, accountId: string, span: QuotaSpan): Promise<BulkQuota> {
  const range = toRange(span);
  const { rows } = await db.query<{ bulk_quota: string | null; used: string; reserved: string }>({
    name: 'bulk_read_quota_use',
    text: `select a.bulk_quota, coalesce(u.used, 0) as used,
             coalesce(u.reserved, 0) + coalesce((
               select sum(items) from bulk_quota_holds h
               where h.account_id = a.id and h.span = $2::tstzrange and h.expires_at > now()), 0) as reserved
           from accounts a left join bulk_quota_use u on u.account_id = a.id and u.span = $2::tstzrange
           where a.id = $1`,
    values: [accountId, range],
  });
  const row = rows[0];
  return {
    limit: row?.bulk_quota == null ? null : Number(row.bulk_quota),
    used: Number(row?.used ?? 0),
    reserved: Number(row?.reserved ?? 0),
    span: range,
    resetsAt: new Date(span.endMs),
  };
}

/** Removes the counts of periods that ended before this time. Short periods leave many. */
export async function dropOldQuotas(db: Queryable, endedBeforeMs: number): Promise<void> {
  await db.query('delete from bulk_quota_use where upper(span) < $1', [new Date(endedBeforeMs)]);
}

/** Adds to the used and the reserved quota. Both may be negative. */
export async function moveQuota(
  db: Queryable,
  accountId: string,
  span: string,
  by: { used: number; reserved: number },
): Promise<void> {
  if (by.used === 0 && by.reserved === 0) return;
  await db.query({
    name: 'bulk_move_quota',
    text: `insert into bulk_quota_use as q (account_id, span, used, reserved)
           values ($1, $2::tstzrange, greatest($3::bigint, 0), greatest($4::bigint, 0))
           on conflict (account_id, span) do update
             set used = greatest(q.used + $3::bigint, 0), reserved = greatest(q.reserved + $4::bigint, 0)`,
    values: [accountId, span, by.used, by.reserved],
  });
}

/** Call it with the quota locked. Also removes expired holds of all accounts. */
export async function holdQuota(
  db: Queryable,
  { id, accountId, span, items }: QuotaHold,
  seconds: number,
): Promise<void> {
  await db.query('delete from bulk_quota_holds where expires_at < now()');
  await db.query(
    `insert into bulk_quota_holds (id, account_id, span, items, expires_at)
     values ($1, $2, $3::tstzrange, $4, now() + make_interval(secs => $5))
     on conflict (id) do update set span = excluded.span, items = excluded.items, expires_at = excluded.expires_at`,
    [id, accountId, span, items, seconds],
  );
}

/** Safe to repeat. */
export async function releaseHold(db: Queryable, id: string): Promise<void> {
  await db.query('delete from bulk_quota_holds where id = $1', [id]);
}

/** How many items may be processed now. `exhausted`: none until the period ends. */
export type Reservation =
  | { readonly kind: 'granted'; readonly count: number }
  /** Everything left is reserved by claimed chunks, which may release some of it. */
  | { readonly kind: 'wait' }
  | { readonly kind: 'exhausted' }
  /** Another worker has the chunk. */
  | { readonly kind: 'lost' };

/**
 * Reserves quota before items are changed, so that any number of workers stays within it. Also releases what the chunk
 * reserved before, so the caller first reports the results of those items.
 */
export function reserveQuota(
  pool: Pool,
  claim: ClaimedChunk,
  wanted: number,
  nowMs: number,
): Promise<Reservation> {
  return inTransaction(pool, async (db) => {
    // Locks the chunk before the quota, in the order of reports.
    const { rows } = await db.query<{ reserved: number; quota_span: string | null }>({
      name: 'bulk_hold_claimed_chunk',
      text: `select reserved, quota_span::text from bulk_chunks
             where job_id = $1 and chunk = $2 and attempt = $3 and lease_owner = $4 and state = 'working' for update`,
      values: [claim.jobId, claim.chunk, claim.attempt, claim.owner],
    });
    const held = rows[0];
    if (held === undefined) return { kind: 'lost' };
    if (held.quota_span !== null) {
      await moveQuota(db, claim.accountId, held.quota_span, { used: 0, reserved: -held.reserved });
    }
    const { limit, used, reserved, span } = await lockQuota(db, claim.accountId, nowMs);
    const count = limit === null ? wanted : Math.max(0, Math.min(wanted, limit - used - reserved));
    await db.query({
      name: 'bulk_reserve',
      text: `update bulk_chunks set reserved = $3, quota_span = $4::tstzrange where job_id = $1 and chunk = $2`,
      values: [claim.jobId, claim.chunk, count, span],
    });
    await moveQuota(db, claim.accountId, span, { used: 0, reserved: count });
    if (count > 0) return { kind: 'granted', count };
    return { kind: limit !== null && used >= limit ? 'exhausted' : 'wait' };
  });
}
