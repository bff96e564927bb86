import { randomBytes } from 'node:crypto';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { Place } from '../http/paging.ts';

/** The look of the dashboard for visitors with this link. */
export interface PortalLook {
  /** Null: the browser's preference. */
  readonly theme: 'light' | 'dark' | null;
  readonly locale: string | null;
  readonly hideNavigation: boolean;
}

export interface NewPortalLink extends PortalLook {
  readonly id: string;
  readonly accountId: string;
  readonly codeHash: Buffer;
  readonly scopes: readonly string[];
  readonly next: string;
  readonly expiresInSeconds: number;
}

/** The code of a link, or the token of a session: 256 random bits. Only its hash is stored. */
export function newPortalToken(): string {
  return randomBytes(32).toString('base64url');
}

/** Limit of an account's unused links that have not expired. */
const MAX_OPEN_LINKS = 1_000;

/**
 * Limit of sessions of one key, or of all links of an account. Beyond it a new one replaces the one that was unused for
 * longest, so repeated sign-ins with a key end no session of others.
 */
const MAX_SESSIONS = 500;

/** @returns when the link expires; undefined when the account has reached its limit of open links */
export async function insertPortalLink(db: Queryable, link: NewPortalLink): Promise<Date | undefined> {
  const { rows } = await db.query<{ expires_at: Date }>(
    `insert into portal_links (id, account_id, code_hash, scopes, next, theme, locale, hide_navigation, expires_at)
     select $1, $2, $3, $4, $5, $6, $7, $8, now() + make_interval(secs => $9)
     where (select count(*) from portal_links where account_id = $2 and expires_at > now() and used_at is null) < $10
     returning expires_at`,
    [
      link.id,
      link.accountId,
      link.codeHash,
      link.scopes,
      link.next,
      link.theme,
      link.locale,
      link.hideNavigation,
      link.expiresInSeconds,
      MAX_OPEN_LINKS,
    ],
  );
  return rows[0]?.expires_at;
}

export interface UsedPortalLink extends PortalLook {
  readonly id: string;
  readonly accountId: string;
  readonly scopes: readonly string[];
  readonly next: string;
}

/** A link that opens one session. */
export interface OpenPortalLink {
  readonly id: string;
  readonly accountId: string;
  readonly accountName: string;
}

/** Returns the links of these codes that are neither used nor expired. */
export async function findOpenPortalLinks(
  db: Queryable,
  codeHashes: readonly Buffer[],
): Promise<(OpenPortalLink & { readonly keyHash: Buffer })[]> {
  const { rows } = await db.query<OpenPortalLink & { readonly keyHash: Buffer }>({
    name: 'find_open_portal_links',
    text: `select l.id, l.account_id as "accountId", a.name as "accountName", l.code_hash as "keyHash"
           from portal_links l join accounts a on a.id = l.account_id
           where l.code_hash = any($1::bytea[]) and l.used_at is null and l.expires_at > now()`,
    values: [codeHashes],
  });
  return rows;
}

/**
 * Uses a link.
 *
 * @returns undefined for an unknown, used or expired one; of two simultaneous requests only one succeeds
 */
export async function usePortalLink(db: Queryable, codeHash: Buffer): Promise<UsedPortalLink | undefined> {
  const { rows } = await db.query<UsedPortalLink>(
    `update portal_links set used_at = now()
     where code_hash = $1 and used_at is null and expires_at > now()
     returning id, account_id as "accountId", scopes, next, theme, locale, hide_navigation as "hideNavigation"`,
    [codeHash],
  );
  return rows[0];
}

export interface NewPortalSession extends PortalLook {
  readonly id: string;
  readonly accountId: string;
  readonly tokenHash: Buffer;
  readonly scopes: readonly string[];
  readonly keyId: string | null;
  readonly isFramed: boolean;
  readonly lifetimeSeconds: number;
}

export async function insertPortalSession(db: Queryable, session: NewPortalSession): Promise<void> {
  await db.query(
    `insert into portal_sessions
       (id, account_id, token_hash, scopes, key_id, theme, locale, hide_navigation, is_framed, expires_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, now() + make_interval(secs => $10))`,
    [
      session.id,
      session.accountId,
      session.tokenHash,
      session.scopes,
      session.keyId,
      session.theme,
      session.locale,
      session.hideNavigation,
      session.isFramed,
      session.lifetimeSeconds,
    ],
  );
  await db.query(
    `delete from portal_sessions where id in (
       select id from portal_sessions where account_id = $1 and key_id is not distinct from $2
       order by last_seen_at desc, id desc offset $3)`,
    [session.accountId, session.keyId, MAX_SESSIONS],
  );
}

export interface PortalSession extends PortalLook {
  readonly id: string;
  readonly accountId: string;
  readonly accountName: string;
  /** The key that opened it; null for a link. */
  readonly keyId: string | null;
  readonly scopes: readonly string[];
  readonly isFramed: boolean;
  readonly state: 'active' | 'expired' | 'revoked';
  /** Its use was not recorded for a while. */
  readonly isUnnoted: boolean;
}

/** The state of a session. `$2`: seconds without a request after which it ends. */
const STATE = `case
  when s.revoked_at is not null or k.revoked_at is not null then 'revoked'
  when s.expires_at <= now() or s.last_seen_at <= now() - make_interval(secs => $2) then 'expired'
  else 'active' end`;

/** A session by the hash of its token. */
export interface FoundPortalSession extends PortalSession {
  readonly keyHash: Buffer;
}

/** The sessions of these tokens, including ended ones until they are removed. */
export async function findPortalSessions(
  db: Queryable,
  tokenHashes: readonly Buffer[],
  idleSeconds: number,
): Promise<FoundPortalSession[]> {
  const { rows } = await db.query<FoundPortalSession>({
    name: 'find_portal_sessions',
    text: `select s.id, s.account_id as "accountId", a.name as "accountName", s.key_id as "keyId", s.scopes,
             s.theme, s.locale, s.hide_navigation as "hideNavigation", s.is_framed as "isFramed", ${STATE} as state,
             s.last_seen_at < now() - interval '15 seconds' as "isUnnoted", s.token_hash as "keyHash"
           from portal_sessions s join accounts a on a.id = s.account_id left join api_keys k on k.id = s.key_id
           where s.token_hash = any($1::bytea[])`,
    values: [tokenHashes, idleSeconds],
  });
  return rows;
}

/** Returns those of these sessions that have not ended. */
export async function findActivePortalSessions(
  db: Queryable,
  ids: readonly string[],
  idleSeconds: number,
): Promise<string[]> {
  const { rows } = await db.query<{ id: string }>({
    name: 'find_active_portal_sessions',
    text: `select s.id from portal_sessions s left join api_keys k on k.id = s.key_id
           where s.id = any($1::text[]) and ${STATE} = 'active'`,
    values: [ids, idleSeconds],
  });
  return rows.map(({ id }) => id);
}

/** Records that a session is in use, so that it does not end as idle. */
export async function notePortalSession(db: Queryable, id: string): Promise<void> {
  await db.query({
    name: 'note_portal_session',
    text: 'update portal_sessions set last_seen_at = now() where id = $1',
    values: [id],
  });
}

/** Stores the language that the visitor has chosen. */
export async function setPortalSessionLocale(db: Queryable, id: string, locale: string): Promise<void> {
  await db.query('update portal_sessions set locale = $2 where id = $1', [id, locale]);
}

export interface PortalSessionRow {
  id: string;
  scopes: string[];
  key_id: string | null;
  created_at: Date;
  created_at_text: string;
  last_seen_at: Date;
  expires_at: Date;
}

/** Sessions that have not ended, newest first. */
export async function listPortalSessions(
  db: Queryable,
  accountId: string,
  idleSeconds: number,
  after: Place | undefined,
  limit: number,
): Promise<PortalSessionRow[]> {
  const { rows } = await db.query<PortalSessionRow>(
    `select s.id, s.scopes, s.key_id, s.created_at, s.created_at::text as created_at_text, s.last_seen_at, s.expires_at
     from portal_sessions s left join api_keys k on k.id = s.key_id
     where s.account_id = $1 and ${STATE} = 'active'
       and ($3::text is null or (s.created_at, s.id) < ($3::timestamptz, $4::text))
     order by s.created_at desc, s.id desc limit $5`,
    [accountId, idleSeconds, after?.at ?? null, after?.id ?? null, limit],
  );
  return rows;
}

/** Revokes a session: its next request is refused. Repeating it is no error. @returns whether the session exists */
export async function revokePortalSession(db: Queryable, accountId: string, id: string): Promise<boolean> {
  const { rowCount } = await db.query(
    'update portal_sessions set revoked_at = coalesce(revoked_at, now()) where account_id = $1 and id = $2',
    [accountId, id],
  );
  return rowCount === 1;
}

/** Revokes all sessions of an account and its open links, each of which would open another session. */
export async function revokeAllPortalSessions(db: Queryable, accountId: string): Promise<void> {
  // Links first: a link being used right now has either opened its session already, or opens none.
  await db.query('update portal_links set used_at = now() where account_id = $1 and used_at is null', [
    accountId,
  ]);
  await db.query(
    'update portal_sessions set revoked_at = now() where account_id = $1 and revoked_at is null',
    [accountId],
  );
}

/**
 * Removes links and sessions that ended before this time. Until then a visitor is told that the session has ended.
 *
 * @returns the larger number of rows removed of either kind, each at most `limit`
 */
export async function sweepPortal(db: Queryable, before: Date, limit: number): Promise<number> {
  const counts = [];
  for (const table of ['portal_links', 'portal_sessions']) {
    const { rowCount } = await db.query(
      `delete from ${table} where id in (select id from ${table} where expires_at < $1 order by expires_at limit $2)`,
      [before, limit],
    );
    counts.push(rowCount ?? 0);
  }
  return Math.max(...counts);
}
