import pg, { type Pool } from 'pg';
import { NotOursError } from '../../../shared/bulk/apply-items.ts';
import { classifySourceError } from '../../../shared/bulk/classify-source-error.ts';
import { PoolBusyError } from '../../../shared/postgres/connection-pool.ts';
import { AppError, SetupError } from '../../../shared/runtime/errors.ts';
import { classifyTransient } from '../../../shared/runtime/transient.ts';

const RETRY_AFTER_SECONDS = 5;

/** Tells a source that is away, busy or not prepared from a fault of ours: the first is the client's to try again. */
export async function whenSourceResponds<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    // Of a busy pool the error handler knows what to say, whichever of them it is.
    if (error instanceof AppError || error instanceof PoolBusyError || !isSourceAway(error)) throw error;
    throw new AppError(
      'unavailable',
      'The source database does not accept the request now. Try again shortly, with the same Idempotency-Key.',
      { retryAfterSeconds: RETRY_AFTER_SECONDS, cause: error },
    );
  }
}

/** Whether it is the source that does not let us go on, and may later. */
export function isSourceAway(error: unknown): boolean {
  if (error instanceof NotOursError || error instanceof SetupError || error instanceof PoolBusyError)
    return true;
  if (error instanceof pg.DatabaseError) return classifySourceError(error) !== 'reject';
  return classifyTransient(error) !== undefined;
}

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
