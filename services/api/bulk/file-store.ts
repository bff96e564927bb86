import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { bulkFileFolder } from '../../../shared/protocol/storage-paths.ts';
import type { Storage } from '../../../shared/storage/storage.ts';

export interface BulkFileRow {
  id: string;
  account_id: string;
  path: string;
  bytes: string;
  items: string;
  created_at: Date;
  expires_at: Date;
}

/** Retention of an upload that no operation uses. */
const KEPT_DAYS = 7;

/** An upload takes an hour at most. The remains of an interrupted one are removed after this time. */
const UPLOAD_HOURS = 2;

/** Records an upload before its first byte, so that the retention sweeper finds it after a crash. */
export async function beginBulkFile(
  db: Queryable,
  file: { id: string; accountId: string; path: string },
): Promise<void> {
  await db.query(
    `insert into bulk_files (id, account_id, path, bytes, items, expires_at)
     values ($1, $2, $3, 0, 0, now() + make_interval(hours => ${UPLOAD_HOURS}))`,
    [file.id, file.accountId, file.path],
  );
}

/** Records that the file is complete. From now on a bulk job may use it. */
export async function completeBulkFile(
  db: Queryable,
  file: { id: string; bytes: number; items: number },
): Promise<BulkFileRow> {
  const { rows } = await db.query<BulkFileRow>(
    `update bulk_files set bytes = $2, items = $3, created_at = clock_timestamp(),
       expires_at = now() + make_interval(days => ${KEPT_DAYS}) where id = $1 returning *`,
    [file.id, file.bytes, file.items],
  );
  const row = rows[0];
  if (row === undefined) throw new Error('the row of an upload is gone');
  return row;
}

/** Removes a file that nobody will use. The retention sweeper handles a failure. */
export async function forgetBulkFile(db: Queryable, storage: Storage, id: string): Promise<void> {
  await storage.deleteFolder(bulkFileFolder(id));
  await db.query('delete from bulk_files where id = $1', [id]);
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
