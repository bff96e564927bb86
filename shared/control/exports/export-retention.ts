import type { Queryable } from '../../postgres/queryable.ts';

/** `export.expiring` is sent this long before files are removed, or at half their life if that is shorter. */
const NOTICE_DAYS = 7;

/**
 * Marks exports whose files are removed soon; a trigger writes the event for their accounts.
 *
 * @returns their number, at most `limit`
 */
export async function tellExpiring(db: Queryable, now: Date, limit: number): Promise<number> {
  const { rowCount } = await db.query(
    `update exports set expiry_told_at = $1 where id in (
       select id from exports
        where status = 'completed' and expiry_told_at is null and expires_at > $1
          and expires_at <= $1::timestamptz + interval '${NOTICE_DAYS} days'
          and expires_at - (expires_at - completed_at) / 2 <= $1
        limit $2 for update skip locked)`,
    [now, limit],
  );
  return rowCount ?? 0;
}

/**
 * Ends exports past their retention: from this commit on no link leads to their files.
 *
 * @returns their number, at most `limit`
 */
export async function expireOverdue(db: Queryable, now: Date, limit: number): Promise<number> {
  const { rowCount } = await db.query(
    `update exports set status = 'expired' where id in (
       select id from exports where status = 'completed' and expires_at <= $1
        limit $2 for update skip locked)`,
    [now, limit],
  );
  return rowCount ?? 0;
}

/** Expired exports whose files may still be in storage, including deleted exports. */
export async function findUnremoved(db: Queryable, after: string, limit: number): Promise<string[]> {
  const { rows } = await db.query<{ id: string }>(
    `select id from exports where status = 'expired' and files_removed_at is null and id > $1 order by id limit $2`,
    [after, limit],
  );
  return rows.map(({ id }) => id);
}

export async function noteRemoved(db: Queryable, id: string, now: Date): Promise<void> {
  await db.query(`update exports set files_removed_at = $2 where id = $1 and status = 'expired'`, [id, now]);
}

/** Ends a completed export early. Only then may its files be deleted. Other states stay unchanged. */
export async function expireExport(db: Queryable, id: string): Promise<void> {
  await db.query(
    `update exports set status = 'expired', expires_at = least(expires_at, now()) where id = $1 and status = 'completed'`,
    [id],
  );
}
