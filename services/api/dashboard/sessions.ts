import { createHash, timingSafeEqual } from 'node:crypto';
import type { Pool } from 'pg';
import { newId } from '../../../shared/domain/ids.ts';
import type { Queryable } from '../../../shared/postgres/queryable.ts';
import { inTransaction } from '../../../shared/postgres/transaction.ts';
import {
  findPortalSessions,
  insertPortalSession,
  type NewPortalSession,
  notePortalSession,
  type PortalSession,
  revokePortalSession,
  usePortalLink,
} from '../admin/portal-store.ts';
import { newPortalToken } from '../admin/portal-token.ts';
import { recordAudit } from '../http/audit-log.ts';
import { type Caller, hashKey } from '../http/caller.ts';
import { createKeyLookup } from '../http/key-lookup.ts';

/** A session as its requests see it. */
export interface Session extends PortalSession {
  /** Goes with each form of the session: another site cannot know it. */
  readonly csrfToken: string;
  /** What the session may do, as the operations of the API check it. */
  readonly caller: Caller & { readonly kind: 'account' };
}

export interface OpenedSession {
  readonly token: string;
  readonly next: string;
}

export interface Sessions {
  /** Looked up by each request: nothing is cached, so that a revoked session ends at once. */
  find(token: string): Promise<Session | undefined>;
  /** Notes that somebody uses the session. */
  note(session: Session): Promise<void>;
  /** Opens the session of a portal link. @returns undefined when the link is unknown, used or expired */
  openByCode(code: string, isFramed: boolean): Promise<OpenedSession | undefined>;
  /** Opens a session that may do what the key may, and ends when that is revoked. */
  openByKey(caller: Caller & { readonly kind: 'account' }, isFramed: boolean): Promise<OpenedSession>;
  end(session: Session): Promise<void>;
}

export interface SessionDeps {
  readonly pool: Pool;
  /** For lookups, which must not wait behind what requests do. */
  readonly reservedPool: Queryable;
  readonly idleSeconds: number;
  readonly lifetimeSeconds: number;
}

export function createSessions({ pool, reservedPool, idleSeconds, lifetimeSeconds }: SessionDeps): Sessions {
  const lookup = createKeyLookup<PortalSession>((hashes) =>
    findPortalSessions(reservedPool, hashes, idleSeconds),
  );

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

  return {
    async find(token) {
      const hash = hashKey(token);
      const found = await lookup.findKey(hash);
      if (found === undefined) return undefined;
      const { id: keyId, accountId, scopes } = found;
      return {
        ...found,
        csrfToken: createHash('sha256').update(`csrf:${token}`).digest('base64url'),
        caller: { kind: 'account', accountId, keyId, keyPrint: hash.toString('base64'), scopes },
      };
    },
    async note(session) {
      if (session.isUnnoted) await notePortalSession(pool, session.id);
    },
    openByCode: (code, isFramed) =>
      // One transaction: a link whose sessions are revoked at this moment leaves none behind.
      inTransaction(pool, async (db) => {
        const link = await usePortalLink(db, hashKey(code));
        if (link === undefined) return undefined;
        const { id, next, ...rest } = link;
        return { token: await open(db, { ...rest, keyId: null, isFramed }, id), next };
      }),
    openByKey: ({ accountId, keyId, scopes }, isFramed) =>
      inTransaction(pool, async (db) => {
        const look = { theme: null, locale: null, hideNavigation: false };
        return {
          token: await open(db, { accountId, keyId, scopes, isFramed, ...look }, keyId),
          next: '/dashboard',
        };
      }),
    async end({ accountId, id }) {
      await revokePortalSession(pool, accountId, id);
    },
  };
}

export function isCsrfToken({ csrfToken }: Session, sent: string | null): boolean {
  const [expected, given] = [Buffer.from(csrfToken), Buffer.from(sent ?? '')];
  return expected.length === given.length && timingSafeEqual(expected, given);
}
