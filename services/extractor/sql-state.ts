import pg from 'pg';

/** Whether the server refused a statement with that code; see "PostgreSQL Error Codes" in its manual. */
export function isSqlState(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof pg.DatabaseError && error.code !== undefined && codes.includes(error.code);
}
