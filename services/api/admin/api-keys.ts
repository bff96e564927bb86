import type { Queryable } from '../../../shared/postgres/queryable.ts';

export interface KeyRow {
  id: string;
  account_id: string;
  name: string | null;
  scopes: string[];
  created_at: Date;
  revoked_at: Date | null;
}

const COLUMNS = 'id, account_id, name, scopes, created_at, revoked_at';

export async function insertKey(
  db: Queryable,
  key: {
    id: string;
    accountId: string;
    name: string | undefined;
    keyHash: Buffer;
    scopes: readonly string[];
  },
): Promise<KeyRow | undefined> {
  const { rows } = await db.query<KeyRow>(
    `insert into api_keys (id, account_id, name, key_hash, scopes) values ($1, $2, $3, $4, $5) returning ${COLUMNS}`,
    [key.id, key.accountId, key.name ?? null, key.keyHash, key.scopes],
  );
  return rows[0];
}

/** Newest first, revoked ones too; bounded by how many an account may have. */
export async function listKeys(db: Queryable, accountId: string): Promise<KeyRow[]> {
  const { rows } = await db.query<KeyRow>(
    `select ${COLUMNS} from api_keys where account_id = $1 order by created_at desc, id desc limit 1000`,
    [accountId],
  );
  return rows;
}

/** Keys in use. */
export async function countKeys(db: Queryable, accountId: string): Promise<number> {
  const { rows } = await db.query<{ count: number }>(
    'select count(*)::int as count from api_keys where account_id = $1 and revoked_at is null',
    [accountId],
  );
  return rows[0]?.count ?? 0;
}

/** Takes effect with the next request. @returns whether there is such a key; revoking twice is no error */
export async function revokeKey(db: Queryable, accountId: string, id: string): Promise<boolean> {
  const { rowCount } = await db.query(
    'update api_keys set revoked_at = coalesce(revoked_at, now()) where account_id = $1 and id = $2',
    [accountId, id],
  );
  return rowCount === 1;
}
