import pg from 'pg';

/** What `lock_timeout` ends with. */
export const LOCK_NOT_AVAILABLE = '55P03';

/** Whether the server refused a statement with that code; see "PostgreSQL Error Codes" in its manual. */
export function isSqlState(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof pg.DatabaseError && error.code !== undefined && codes.includes(error.code);
}
