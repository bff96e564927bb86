import { createHash, timingSafeEqual } from 'node:crypto';
import type { Pool } from 'pg';
import { newId } from '../../../../shared/domain/ids.ts';
import type { Queryable } from '../../../../shared/postgres/queryable.ts';
import { inTransaction } from '../../../../shared/postgres/transaction.ts';
import {
  type FoundPortalSession,
  findOpenPortalLinks,
  findPortalSessions,
  insertPortalSession,
  type NewPortalSession,
  newPortalToken,
  notePortalSession,
  type OpenPortalLink,
  type PortalSession,
  revokePortalSession,
  setPortalSessionLocale,
  usePortalLink,
} from '../../admin/portal-store.ts';
import { recordAudit } from '../../http/audit-log.ts';
import { type Caller, hashKey } from '../../http/caller.ts';
import { createKeyLookup } from '../../http/key-lookup.ts';
import type { Visitor } from './visitor.ts';

/** A session as seen by requests. */
export interface Session extends PortalSession, Visitor {
  readonly accountName: string;
  /** The key for rate limits, shared by all sessions of one API key. */
  readonly ratePrint: string;
  readonly caller: Caller & { readonly kind: 'account' };
}

export interface OpenedSession {
  readonly token: string;
  readonly next: string;
}

export interface Sessions {
  /** Looks sessions up without a cache, so that a revoked session ends at once. */
  find(tokens: readonly string[]): Promise<Session[]>;
  /** Records that the session is in use. */
  note(session: Session): Promise<void>;
  /** @returns undefined when the link of this code is unknown, used or expired */
  findLink(code: string): Promise<OpenPortalLink | undefined>;
  /** Opens the session of a portal link. @returns undefined when the link has been used or has expired */
  openByCode(code: string, entry: Entry): Promise<OpenedSession | undefined>;
  /** Opens a session with the rights of the key, which ends when the key is revoked. */
  openByKey(caller: Caller & { readonly kind: 'account' }, entry: Entry): Promise<OpenedSession>;
  /** Stores the visitor's language for the session. */
  setLocale(session: Pick<Visitor, 'id'>, locale: string): Promise<void>;
  /** Ends the sessions at their user's request. */
  end(sessions: readonly Session[]): Promise<void>;
}

/** How a visitor signs in. */
export interface Entry {
  readonly isFramed: boolean;
  /** The browser's earlier sessions, which end in the same transaction. */
  readonly replaced: readonly Session[];
}

export interface SessionDeps {
  readonly pool: Pool;
  /** For look-ups, which must not wait for requests' connections. */
  readonly reservedPool: Queryable;
  readonly idleSeconds: number;
  readonly lifetimeSeconds: number;
}

/** The form of a code; other texts are not looked up. */
const CODE = /^[\w-]{43}$/;

export function createSessions({ pool, reservedPool, idleSeconds, lifetimeSeconds }: SessionDeps): Sessions {
  const lookup = createKeyLookup<FoundPortalSession>((hashes) =>
    findPortalSessions(reservedPool, hashes, idleSeconds),
  );
  const links = createKeyLookup<OpenPortalLink>((hashes) => findOpenPortalLinks(reservedPool, hashes));

  async function open(
    db: Queryable,
    details: Omit<NewPortalSession, 'id' | 'tokenHash' | 'lifetimeSeconds'>,
    actor: string,
  ): Promise<string> {
    const token = newPortalToken();
    const id = newId('ses');
    await insertPortalSession(db, { ...details, id, tokenHash: hashKey(token), lifetimeSeconds });
    const { accountId, scopes } = details;
    const entry = { accountId, actor, action: 'portal_session.opened', subjectId: id } as const;
    await recordAudit(db, { ...entry, details: { scopes } });
    return token;
  }

  async function findOne(token: string): Promise<Session | undefined> {
    const hash = hashKey(token);
    const row = await lookup.findKey(hash);
    if (row === undefined) return undefined;
    const { keyHash: _hash, ...found } = row;
    const { id, keyId, accountId, scopes } = found;
    const keyPrint = hash.toString('base64');
    return {
      ...found,
      csrfToken: csrfTokenOf(token),
      ratePrint: keyId === null ? keyPrint : `sessions:${keyId}`,
      // The audit log names the session. Secrets in a stored response are shown only to the session that got them
      // first.
      caller: { kind: 'account', accountId, keyId: id, keyPrint, scopes },
    };
  }

  return {
    async find(tokens) {
      const found = await Promise.all(tokens.map(findOne));
      return found.flatMap((session) => session ?? []);
    },
    async note(session) {
      if (session.isUnnoted) await notePortalSession(pool, session.id);
    },
    findLink: async (code) => (CODE.test(code) ? links.findKey(hashKey(code)) : undefined),
    openByCode: (code, { isFramed, replaced }) =>
      // One transaction, so that a session of a link revoked at the same time does not survive.
      inTransaction(pool, async (db) => {
        const link = await usePortalLink(db, hashKey(code));
        if (link === undefined) return undefined;
        const { id, next, ...rest } = link;
        await endAll(db, replaced, 'replaced');
        return { token: await open(db, { ...rest, keyId: null, isFramed }, id), next };
      }),
    openByKey: ({ accountId, keyId, scopes }, { isFramed, replaced }) =>
      inTransaction(pool, async (db) => {
        await endAll(db, replaced, 'replaced');
        const look = { theme: null, locale: null, hideNavigation: false };
        return {
          token: await open(db, { accountId, keyId, scopes, isFramed, ...look }, keyId),
          next: '/dashboard',
        };
      }),
    setLocale: ({ id }, locale) => setPortalSessionLocale(pool, id, locale),
    end: (sessions) => inTransaction(pool, (db) => endAll(db, sessions, 'signed_out')),
  };
}

async function endAll(
  db: Queryable,
  sessions: readonly Session[],
  reason: 'signed_out' | 'replaced',
): Promise<void> {
  // Always in one order, so that two requests with the same sessions can't deadlock.
  for (const { id, accountId, state } of sessions.toSorted((a, b) => (a.id < b.id ? -1 : 1))) {
    if (state !== 'active') continue;
    await revokePortalSession(db, accountId, id);
    const entry = { accountId, actor: id, action: 'portal_session.revoked', subjectId: id } as const;
    await recordAudit(db, { ...entry, details: { reason } });
  }
}

export function csrfTokenOf(token: string): string {
  return createHash('sha256').update(`csrf:${token}`).digest('base64url');
}

export function isCsrfToken({ csrfToken }: Pick<Visitor, 'csrfToken'>, sent: string | null): boolean {
  const [expected, given] = [Buffer.from(csrfToken), Buffer.from(sent ?? '')];
  return expected.length === given.length && timingSafeEqual(expected, given);
}
