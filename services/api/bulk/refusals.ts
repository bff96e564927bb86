import pg, { type Pool } from 'pg';

/** The source refuses a value or a comparison: data exceptions, broken constraints, and what a type has no operator for. */
const REFUSED = /^(22|23|42)/;

/** What only a request can have brought about: a value too long for any row, a statement too complex. */
const TOO_MUCH: ReadonlySet<string> = new Set(['54000', '54001', '54023']);

/** Whether the source takes a statement with these values. Other errors than a refusal are thrown. */
export async function isAccepted(source: Pool, text: string, values: readonly unknown[]): Promise<boolean> {
  try {
    await source.query(text, [...values]);
    return true;
  } catch (error) {
    if (isRefusal(error)) return false;
    throw error;
  }
}

function isRefusal(error: unknown): boolean {
  if (!(error instanceof pg.DatabaseError)) return false;
  const { code = '' } = error;
  return REFUSED.test(code) || TOO_MUCH.has(code);
}
