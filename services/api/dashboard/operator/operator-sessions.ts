import type { Pool } from 'pg';
import { newId } from '../../../../shared/domain/ids.ts';
import type { Queryable } from '../../../../shared/postgres/queryable.ts';
import { inTransaction } from '../../../../shared/postgres/transaction.ts';
import type { Secret } from '../../../../shared/runtime/env.ts';
import {
  type FoundOperatorSession,
  findOperatorSessions,
  insertOperatorSession,
  noteOperatorSession,
  revokeOperatorSession,
  setOperatorSessionLocale,
} from '../../admin/operator-session-store.ts';
import { newPortalToken } from '../../admin/portal-store.ts';
import { recordAudit } from '../../http/audit-log.ts';
import { type Caller, hashKey, operatorKeyHash } from '../../http/caller.ts';
import { createKeyLookup } from '../../http/key-lookup.ts';
import { csrfTokenOf } from '../frame/sessions.ts';
import type { Visitor } from '../frame/visitor.ts';

/** The session of somebody who has signed in with the operator's key. It belongs to no account. */
export interface OperatorSession extends Visitor, FoundOperatorSession {
  readonly caller: Caller & { readonly kind: 'operator' };
}

export interface OperatorSessions {
  /** Each request looks the session up without a cache, so that a revoked session ends at once. */
  find(token: string | undefined): Promise<OperatorSession | undefined>;
  /** Records that the session is used. */
  note(session: OperatorSession): Promise<void>;
  /** Opens a session, and ends the one that the browser was in. @returns its token */
  open(replaced: OperatorSession | undefined): Promise<string>;
  /** Sets the language of the session. */
  setLocale(session: Pick<Visitor, 'id'>, locale: string): Promise<void>;
  /** Ends a session at the request of its user. */
  end(session: OperatorSession): Promise<void>;
}

export interface OperatorSessionsDeps {
  readonly pool: Pool;
  /** A pool for lookups, which must not wait for the connections that requests hold. */
  readonly reservedPool: Queryable;
  readonly adminKey: Secret;
}

const LOOK = { theme: null, hideNavigation: false } as const;

export function createOperatorSessions({
  pool,
  reservedPool,
  adminKey,
}: OperatorSessionsDeps): OperatorSessions {
  const lookup = createKeyLookup<FoundOperatorSession>((hashes) =>
    findOperatorSessions(reservedPool, hashes, operatorKeyHash(adminKey)),
  );
  const end = async (
    db: Queryable,
    { id, state }: FoundOperatorSession,
    reason: 'signed_out' | 'replaced',
  ) => {
    if (state !== 'active') return;
    await revokeOperatorSession(db, id);
    const entry = { accountId: null, actor: id, action: 'operator_session.revoked', subjectId: id } as const;
    await recordAudit(db, { ...entry, details: { reason } });
  };
  return {
    async find(token) {
      if (token === undefined) return undefined;
      const hash = hashKey(token);
      const found = await lookup.findKey(hash);
      if (found === undefined) return undefined;
      return {
        ...found,
        ...LOOK,
        accountName: undefined,
        keyId: null,
        csrfToken: csrfTokenOf(token),
        // A stored response may hold a secret, which only the session that got it first may see again.
        caller: { kind: 'operator', keyPrint: hash.toString('base64') },
      };
    },
    async note({ id, isUnnoted }) {
      if (isUnnoted) await noteOperatorSession(pool, id);
    },
    open: (replaced) =>
      inTransaction(pool, async (db) => {
        if (replaced !== undefined) await end(db, replaced, 'replaced');
        const token = newPortalToken();
        const id = newId('ops');
        await insertOperatorSession(db, {
          id,
          tokenHash: hashKey(token),
          keyHash: operatorKeyHash(adminKey),
        });
        const entry = { accountId: null, actor: 'operator', action: 'operator_session.opened' } as const;
        await recordAudit(db, { ...entry, subjectId: id });
        return token;
      }),
    setLocale: ({ id }, locale) => setOperatorSessionLocale(pool, id, locale),
    end: (session) => inTransaction(pool, (db) => end(db, session, 'signed_out')),
  };
}
