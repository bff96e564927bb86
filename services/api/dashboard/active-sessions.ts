import type { Queryable } from '../../../shared/postgres/queryable.ts';
import type { Secret } from '../../../shared/runtime/env.ts';
import { findActiveOperatorSessions } from '../admin/operator-session-store.ts';
import { findActivePortalSessions } from '../admin/portal-store.ts';
import { operatorKeyHash } from '../http/caller.ts';

export interface ActiveSessionsDeps {
  readonly reservedPool: Queryable;
  readonly idleSeconds: number;
  readonly adminKey: Secret;
}

/** Returns those of some sessions of any kind that have not ended, with one statement per kind. */
export function createActiveSessions({ reservedPool, idleSeconds, adminKey }: ActiveSessionsDeps) {
  return async (sessionIds: readonly string[]): Promise<ReadonlySet<string>> => {
    const operators = sessionIds.filter((id) => id.startsWith('ops_'));
    const customers = sessionIds.filter((id) => !id.startsWith('ops_'));
    const found = await Promise.all([
      operators.length === 0
        ? []
        : findActiveOperatorSessions(reservedPool, operators, operatorKeyHash(adminKey)),
      customers.length === 0 ? [] : findActivePortalSessions(reservedPool, customers, idleSeconds),
    ]);
    return new Set(found.flat());
  };
}
