import { sleep } from '../runtime/sleep.ts';
import { classifyTransient } from '../runtime/transient.ts';
import type { Queryable } from './queryable.ts';

/**
 * Options of a session that reads about the product's tables. A wait for a lock ends below PostgreSQL's deadlock_timeout of
 * 1 s, so in a deadlock with a migration it is always the session of ours that gives up.
 */
export const SHORT_LOCK_WAITS = '-c lock_timeout=500ms';

/** With the waits themselves some 20 s: longer than a migration's lock should be held. */
const MAX_TRIES = 20;
const PAUSE_MS = 500;

/** Whether the server ended a wait for a lock. */
export function isLockTimeout(error: unknown): boolean {
  return classifyTransient(error) === 'lock';
}

/**
 * Repeats a query whose table is locked, rather than wait for the lock in one go. For a session with `SHORT_LOCK_WAITS` and
 * outside of transactions, where a query that failed has left nothing behind.
 *
 * @throws DatabaseError 55P03 from `query` when the table stays locked
 */
export function retryWhileLocked(db: Queryable): Queryable {
  return {
    query: async (query, values) => {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await db.query(query, values);
        } catch (error) {
          if (attempt === MAX_TRIES || !isLockTimeout(error)) throw error;
          await sleep(PAUSE_MS);
        }
      }
    },
  };
}
