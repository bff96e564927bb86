import type { Queryable } from '../postgres/queryable.ts';

/** How many items an account may still have processed in a month. */
export interface BulkQuota {
  /** Null: any number. */
  readonly limit: number | null;
  readonly used: number;
  /** Set aside for items in hand. */
  readonly reserved: number;
}

/** Quota set aside for a request that is under way; one hold a request, whatever becomes of its process. */
export interface QuotaHold {
  readonly id: string;
  readonly accountId: string;
  readonly month: string;
  readonly items: number;
}

export async function readQuota(db: Queryable, accountId: string, month: string): Promise<BulkQuota> {
  const { rows } = await db.query<{ bulk_quota: string | null; used: string; reserved: string }>(
    `select a.bulk_quota, coalesce(u.used, 0) as used,
       coalesce(u.reserved, 0) + coalesce((
         select sum(items) from bulk_quota_holds h
         where h.account_id = a.id and h.month = $2::date and h.expires_at > now()), 0) as reserved
     from accounts a left join bulk_quota_use u on u.account_id = a.id and u.month = $2::date
     where a.id = $1`,
    [accountId, month],
  );
  const row = rows[0];
  return {
    limit: row?.bulk_quota == null ? null : Number(row.bulk_quota),
    used: Number(row?.used ?? 0),
    reserved: Number(row?.reserved ?? 0),
  };
}

/** As `readQuota`, and nobody else changes it until the transaction ends. */
export async function lockQuota(db: Queryable, accountId: string, month: string): Promise<BulkQuota> {
  await db.query(
    `insert into bulk_quota_use (account_id, month) values ($1, $2::date) on conflict do nothing`,
    [accountId, month],
  );
  await db.query(`select from bulk_quota_use where account_id = $1 and month = $2::date for update`, [
    accountId,
    month,
  ]);
  return readQuota(db, accountId, month);
}

/** Adds to what is used and set aside; both may be negative. */
export async function moveQuota(
  db: Queryable,
  accountId: string,
  month: string,
  by: { used: number; reserved: number },
): Promise<void> {
  if (by.used === 0 && by.reserved === 0) return;
  await db.query(
    `insert into bulk_quota_use as q (account_id, month, used, reserved) values ($1, $2::date, greatest($3::bigint, 0), greatest($4::bigint, 0))
     on conflict (account_id, month) do update
       set used = greatest(q.used + $3::bigint, 0), reserved = greatest(q.reserved + $4::bigint, 0)`,
    [accountId, month, by.used, by.reserved],
  );
}

/** Call it with the quota locked. What expired holds of any account have left is removed on the way. */
export async function holdQuota(
  db: Queryable,
  { id, accountId, month, items }: QuotaHold,
  seconds: number,
): Promise<void> {
  await db.query('delete from bulk_quota_holds where expires_at < now()');
  await db.query(
    `insert into bulk_quota_holds (id, account_id, month, items, expires_at)
     values ($1, $2, $3::date, $4, now() + make_interval(secs => $5))
     on conflict (id) do update set month = excluded.month, items = excluded.items, expires_at = excluded.expires_at`,
    [id, accountId, month, items, seconds],
  );
}

/** Safe to repeat. */
export async function releaseHold(db: Queryable, id: string): Promise<void> {
  await db.query('delete from bulk_quota_holds where id = $1', [id]);
}
