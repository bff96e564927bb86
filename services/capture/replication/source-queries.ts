import pg from 'pg';
import type { Queryable } from '../../../shared/postgres/queryable.ts';

/** The source could not be asked: it is down, restarting, or cut off. It comes back, and then the same can be asked again. */
export class SourceLostError extends Error {
  override readonly name = 'SourceLostError';
}

/**
 * Tells the errors of the server, which are answers, from those of the way there. Node-pg gives the latter as plain
 * errors with nothing to tell them by but their text.
 *
 * @throws SourceLostError from `query`, with the plain error as its cause
 */
export function createSourceQueries(pool: Queryable): Queryable {
  return {
    query: async (query, values) => {
      try {
        return await pool.query(query, values);
      } catch (cause) {
        if (cause instanceof pg.DatabaseError) throw cause;
        throw new SourceLostError('the source does not respond', { cause });
      }
    },
  };
}
