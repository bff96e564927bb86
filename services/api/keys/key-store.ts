import { newId } from '../../../shared/domain/ids.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { AppError } from '../../../shared/runtime/errors.ts';
import { recordAudit } from '../http/audit-log.ts';
import { hashKey, newKey, SCOPES, type Scope } from '../http/caller.ts';
import type { Place } from '../http/paging.ts';

export interface KeyRow {
  id: string;
  account_id: string;
  name: string | null;
  /** How the key begins. Null for keys that were made before this was kept. */
  prefix: string | null;
  scopes: string[];
  /** IDs of the keys through which it was made, the first of them first. */
  makers: string[];
  created_at: Date;
  created_at_text: string;
  last_used_at: Date | null;
  revoked_at: Date | null;
}

const COLUMNS =
  'id, account_id, name, prefix, scopes, makers, created_at, created_at::text as created_at_text, last_used_at, revoked_at';

/** Keys in use that an account may have. */
const MAX_KEYS = 100;

/** Revoked keys that an account's list keeps. The oldest give way; the audit log still names them. */
const MAX_REVOKED = 1_000;

/** Keys that make one another. A longer chain would only grow, and each key names all keys before it. */
const MAX_MAKERS = 20;

/** Characters of a key that are shown again: three of them are the same in each, six are 36 of 256 bits. */
const PREFIX_CHARACTERS = 9;

export const KEY_STATUSES = ['active', 'revoked'] as const;

export type KeyStatus = (typeof KEY_STATUSES)[number];

export interface NewKey {
  readonly accountId: string;
  readonly name: string | undefined;
  readonly scopes: readonly Scope[];
  /** Of `holdCaller`. */
  readonly makers: readonly string[];
}

/**
 * Makes a key, with its entry in the audit log. Run it in a transaction.
 *
 * @param actor who makes it, as in the audit log
 * @returns the key, whose text is nowhere else
 * @throws AppError `conflict` when the account has as many keys as it may have
 */
export async function createKey(
  db: Queryable,
  { accountId, name, scopes, makers }: NewKey,
  actor: string,
): Promise<KeyRow & { readonly key: string }> {
  if (makers.length > MAX_MAKERS) {
    throw new AppError(
      'conflict',
      `This key was made by a key that was made by another, ${MAX_MAKERS} times over: make the new one with an earlier key.`,
    );
  }
  const key = newKey();
  // Two requests at once would both see one key fewer than there are.
  await db.query('select from accounts where id = $1 for no key update', [accountId]);
  const { rows } = await db.query<KeyRow>(
    `insert into api_keys (id, account_id, name, prefix, key_hash, scopes, makers)
     select $1, $2, $3, $4, $5, $6, $7
     where (select count(*) from api_keys where account_id = $2 and revoked_at is null) < ${MAX_KEYS}
     returning ${COLUMNS}`,
    [
      newId('key'),
      accountId,
      name ?? null,
      key.slice(0, PREFIX_CHARACTERS),
      hashKey(key),
      SCOPES.filter((scope) => scopes.includes(scope)),
      makers,
    ],
  );
  const [row] = rows;
  if (row === undefined) {
    throw new AppError('conflict', `An account may have ${MAX_KEYS} keys. Revoke a key that is not in use.`);
  }
  await db.query(
    `delete from api_keys where id in (
       select id from api_keys where account_id = $1 and revoked_at is not null
       order by revoked_at desc, id desc offset ${MAX_REVOKED})`,
    [accountId],
  );
  const details = { scopes: row.scopes, ...(row.name === null ? {} : { name: row.name }) };
  await recordAudit(db, { accountId, actor, action: 'key.created', subjectId: row.id, details });
  return { ...row, key };
}

/**
 * Holds the key or the session of a request, so that it is not revoked at the same time: the revocation sees each key that it has
 * made, and it makes no other. Of a request that has taken long, it says whether its key is still valid.
 *
 * @param id of a key or of a session
 * @returns the makers of a key that it makes
 * @throws AppError `unauthorized` when it has ended
 */
export async function holdCaller(db: Queryable, id: string): Promise<readonly string[]> {
  const session = await db.query<{ key_id: string | null }>(
    'select key_id from portal_sessions where id = $1 and revoked_at is null and expires_at > now() for share',
    [id],
  );
  const [found] = session.rows;
  const keyId = found === undefined ? id : found.key_id;
  if (keyId === null) return [];
  const key = await db.query<Pick<KeyRow, 'makers'>>(
    'select makers from api_keys where id = $1 and revoked_at is null for share',
    [keyId],
  );
  const [maker] = key.rows;
  if (maker === undefined) throw new AppError('unauthorized', 'The key is unknown or revoked.');
  return [...maker.makers, keyId];
}

/** Newest first. Without a status the revoked ones too. */
export async function listKeys(
  db: Queryable,
  accountId: string,
  status: KeyStatus | undefined,
  after: Place | undefined,
  limit: number,
): Promise<KeyRow[]> {
  const { rows } = await db.query<KeyRow>(
    `select ${COLUMNS} from api_keys
     where account_id = $1 and ($2::text is null or (created_at, id) < ($2::timestamptz, $3::text))
       and ($5::text is null or (revoked_at is null) = ($5 = 'active'))
     order by created_at desc, id desc limit $4`,
    [accountId, after?.at ?? null, after?.id ?? null, limit, status ?? null],
  );
  return rows;
}

/**
 * Revokes a key, with its entry in the audit log: its next request is refused. Run it in a transaction. A second time is no
 * error, and is not recorded.
 *
 * @param withMade revokes the keys that it made too, and those that they made, also if the key itself was revoked before
 * @throws AppError `not_found`
 */
export async function revokeKey(
  db: Queryable,
  accountId: string,
  id: string,
  actor: string,
  withMade: boolean,
): Promise<void> {
  // A key that was revoked long ago is gone, and those that it made are not.
  const { rowCount } = await db.query(
    'select from api_keys where account_id = $1 and (id = $2 or ($3 and $2 = any(makers)))',
    [accountId, id, withMade],
  );
  if (rowCount === 0) throw new AppError('not_found', `There is no key ${id}.`);
  // A key that is made meanwhile holds its maker. So the update waits for it, and only the next one sees it.
  while ((await revokeOnce(db, accountId, id, actor, withMade)) > 0);
}

async function revokeOnce(
  db: Queryable,
  accountId: string,
  id: string,
  actor: string,
  withMade: boolean,
): Promise<number> {
  const { rows } = await db.query<Pick<KeyRow, 'id' | 'name'>>(
    `update api_keys set revoked_at = now()
     where account_id = $1 and (id = $2 or ($3 and $2 = any(makers))) and revoked_at is null returning id, name`,
    [accountId, id, withMade],
  );
  for (const revoked of rows) {
    const details = {
      ...(revoked.name === null ? {} : { name: revoked.name }),
      ...(revoked.id === id ? {} : { made_by: id }),
    };
    await recordAudit(db, { accountId, actor, action: 'key.revoked', subjectId: revoked.id, details });
  }
  return rows.length;
}
