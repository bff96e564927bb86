import { newId } from '../../../shared/domain/ids.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { Place } from './place.ts';

export interface AccountRow {
  id: string;
  name: string;
  source_id: string;
  max_running_exports: number;
  created_at: Date;
  created_at_text: string;
}

const COLUMNS = 'id, name, source_id, max_running_exports, created_at, created_at::text as created_at_text';

/** @returns undefined when an account of this `source_id` is there already */
export async function insertAccount(
  db: Queryable,
  account: { name: string; sourceId: string; maxRunningExports: number | undefined },
): Promise<AccountRow | undefined> {
  const { rows } = await db.query<AccountRow>(
    `insert into accounts (id, name, source_id, max_running_exports) values ($1, $2, $3, coalesce($4, 3))
     on conflict (source_id) do nothing returning ${COLUMNS}`,
    [newId('acct'), account.name, account.sourceId, account.maxRunningExports],
  );
  return rows[0];
}

export async function findAccount(db: Queryable, id: string): Promise<AccountRow | undefined> {
  const { rows } = await db.query<AccountRow>(`select ${COLUMNS} from accounts where id = $1`, [id]);
  return rows[0];
}

/** Newest first. */
export async function listAccounts(
  db: Queryable,
  after: Place | undefined,
  limit: number,
): Promise<AccountRow[]> {
  const { rows } = await db.query<AccountRow>(
    `select ${COLUMNS} from accounts
     where $1::text is null or (created_at, id) < ($1::timestamptz, $2::text)
     order by created_at desc, id desc limit $3`,
    [after?.at ?? null, after?.id ?? null, limit],
  );
  return rows;
}

/** Changes what is given and leaves the rest. @returns undefined when there is no such account */
export async function updateAccount(
  db: Queryable,
  id: string,
  change: { name: string | undefined; maxRunningExports: number | undefined },
): Promise<AccountRow | undefined> {
  const { rows } = await db.query<AccountRow>(
    `update accounts set name = coalesce($2, name), max_running_exports = coalesce($3, max_running_exports)
     where id = $1 returning ${COLUMNS}`,
    [id, change.name, change.maxRunningExports],
  );
  return rows[0];
}
