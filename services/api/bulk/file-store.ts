import type { Queryable } from '../../../shared/postgres/queryable.ts';

export interface BulkFileRow {
  id: string;
  account_id: string;
  path: string;
  bytes: string;
  items: string;
  created_at: Date;
  expires_at: Date;
}

/** An upload that no operation names is kept this long. */
const KEPT_DAYS = 7;

export async function insertBulkFile(
  db: Queryable,
  file: { id: string; accountId: string; path: string; bytes: number; items: number },
): Promise<BulkFileRow> {
  const { rows } = await db.query<BulkFileRow>(
    `insert into bulk_files (id, account_id, path, bytes, items, expires_at)
     values ($1, $2, $3, $4, $5, now() + make_interval(days => ${KEPT_DAYS})) returning *`,
    [file.id, file.accountId, file.path, file.bytes, file.items],
  );
  const row = rows[0];
  if (row === undefined) throw new Error('inserting a file of IDs returned nothing');
  return row;
}

/** Finds a file of this account only: other accounts' files do not exist for it. */
export async function findBulkFile(
  db: Queryable,
  accountId: string,
  id: string,
): Promise<BulkFileRow | undefined> {
  const { rows } = await db.query<BulkFileRow>(
    'select * from bulk_files where id = $1 and account_id = $2 and expires_at > now() for key share',
    [id, accountId],
  );
  return rows[0];
}
