import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { Place } from '../http/paging.ts';

/**
 * A session shows every account, so it is short: it ends after a quarter of an hour without a request, and after four
 * hours in any case.
 */
export const OPERATOR_IDLE_SECONDS = 15 * 60;
export const OPERATOR_LIFETIME_SECONDS = 4 * 3_600;

/**
 * Limit of sessions, more than an operator's team opens in four hours. Beyond it a new one replaces the one that was
 * unused for longest.
 */
const MAX_SESSIONS = 100;

export interface OperatorSessionRow {
  readonly id: string;
  readonly created_at: Date;
  readonly created_at_text: string;
  readonly last_seen_at: Date;
  readonly expires_at: Date;
}

export interface FoundOperatorSession {
  readonly id: string;
  readonly state: 'active' | 'expired' | 'revoked';
  readonly locale: string | null;
  /** Its use was not recorded for a while. */
  readonly isUnnoted: boolean;
}

/** `$2` is the hash of the operator's present key. Sessions opened with an earlier key have ended. */
const STATE = `case
  when revoked_at is not null or key_hash <> $2 then 'revoked'
  when expires_at <= now() or last_seen_at <= now() - interval '${OPERATOR_IDLE_SECONDS} seconds' then 'expired'
  else 'active' end`;

export async function insertOperatorSession(
  db: Queryable,
  session: { readonly id: string; readonly tokenHash: Buffer; readonly keyHash: Buffer },
): Promise<void> {
  await db.query(
    `insert into operator_sessions (id, token_hash, key_hash, expires_at)
     values ($1, $2, $3, now() + interval '${OPERATOR_LIFETIME_SECONDS} seconds')`,
    [session.id, session.tokenHash, session.keyHash],
  );
  await db.query(
    `delete from operator_sessions where id in (
       select id from operator_sessions order by last_seen_at desc, id desc offset ${MAX_SESSIONS})`,
  );
}

/** The sessions of these tokens, including ended ones until they are removed. */
export async function findOperatorSessions(
  db: Queryable,
  tokenHashes: readonly Buffer[],
  keyHash: Buffer,
): Promise<(FoundOperatorSession & { readonly keyHash: Buffer })[]> {
  const { rows } = await db.query<FoundOperatorSession & { readonly keyHash: Buffer }>({
    name: 'find_operator_sessions',
    text: `select id, locale, ${STATE} as state, last_seen_at < now() - interval '15 seconds' as "isUnnoted",
             token_hash as "keyHash"
           from operator_sessions where token_hash = any($1::bytea[])`,
    values: [tokenHashes, keyHash],
  });
  return rows;
}

/** Returns those of these sessions that have not ended. */
export async function findActiveOperatorSessions(
  db: Queryable,
  ids: readonly string[],
  keyHash: Buffer,
): Promise<string[]> {
  const { rows } = await db.query<{ id: string }>({
    name: 'find_active_operator_sessions',
    text: `select id from operator_sessions where id = any($1::text[]) and ${STATE} = 'active'`,
    values: [ids, keyHash],
  });
  return rows.map(({ id }) => id);
}

/** Records that a session is in use, so that it does not end as idle. */
export async function noteOperatorSession(db: Queryable, id: string): Promise<void> {
  await db.query({
    name: 'note_operator_session',
    text: 'update operator_sessions set last_seen_at = now() where id = $1',
    values: [id],
  });
}

export async function setOperatorSessionLocale(db: Queryable, id: string, locale: string): Promise<void> {
  await db.query('update operator_sessions set locale = $2 where id = $1', [id, locale]);
}

/** Sessions that have not ended, newest first. */
export async function listOperatorSessions(
  db: Queryable,
  keyHash: Buffer,
  after: Place | undefined,
  limit: number,
): Promise<OperatorSessionRow[]> {
  const { rows } = await db.query<OperatorSessionRow>(
    `select id, created_at, created_at::text as created_at_text, last_seen_at, expires_at from operator_sessions
     where ${STATE} = 'active' and ($1::text is null or (created_at, id) < ($1::timestamptz, $3::text))
     order by created_at desc, id desc limit $4`,
    [after?.at ?? null, keyHash, after?.id ?? null, limit],
  );
  return rows;
}

/** Revokes a session: its next request is refused. Repeating it is no error. @returns whether the session exists */
export async function revokeOperatorSession(db: Queryable, id: string): Promise<boolean> {
  const { rowCount } = await db.query(
    'update operator_sessions set revoked_at = coalesce(revoked_at, now()) where id = $1',
    [id],
  );
  return rowCount === 1;
}

export async function revokeAllOperatorSessions(db: Queryable): Promise<void> {
  await db.query('update operator_sessions set revoked_at = now() where revoked_at is null');
}

/** @returns the number of removed sessions, at most `limit` */
export async function sweepOperatorSessions(db: Queryable, before: Date, limit: number): Promise<number> {
  const { rowCount } = await db.query(
    `delete from operator_sessions where id in (
       select id from operator_sessions where expires_at < $1 order by expires_at limit $2)`,
    [before, limit],
  );
  return rowCount ?? 0;
}
