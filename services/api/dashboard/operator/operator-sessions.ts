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

/** Somebody who has signed in with the operator's key. Of no account. */
export interface OperatorSession extends Visitor, FoundOperatorSession {
  readonly caller: Caller & { readonly kind: 'operator' };
}

export interface OperatorSessions {
  /** Looked up by each request: nothing is cached, so that a revoked session ends at once. */
  find(token: string | undefined): Promise<OperatorSession | undefined>;
  /** Notes that somebody uses the session. */
  note(session: OperatorSession): Promise<void>;
  /** Opens a session, and ends the one that the browser was in. @returns its token */
  open(replaced: OperatorSession | undefined): Promise<string>;
  /** In which language the session is from now on. */
  setLocale(session: Pick<Visitor, 'id'>, locale: string): Promise<void>;
  /** Ends a session at the request of its user. */
  end(session: OperatorSession): Promise<void>;
}

export interface OperatorSessionsDeps {
  readonly pool: Pool;
  /** For lookups, which must not wait behind what requests do. */
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
        // Secrets of a kept response are for the session that got them first.
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
