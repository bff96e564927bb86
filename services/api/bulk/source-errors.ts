import pg, { type Pool } from 'pg';
import { NotOursError } from '../../../shared/bulk/apply-items.ts';
import { classifySourceError } from '../../../shared/bulk/classify-source-error.ts';
import { PoolBusyError } from '../../../shared/postgres/pool.ts';
import { AppError, SetupError } from '../../../shared/runtime/errors.ts';
import { classifyTransient } from '../../../shared/runtime/transient.ts';

const RETRY_AFTER_SECONDS = 5;

/**
 * Turns an error of a source that is down, busy or not prepared into `unavailable`, which the client may retry. Other
 * errors are Tandem's fault.
 */
export async function whenSourceResponds<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    // The error handler describes a busy pool, whichever pool it is.
    if (error instanceof AppError || error instanceof PoolBusyError || !isSourceAway(error)) throw error;
    throw new AppError(
      'unavailable',
      'The source database does not accept the request now. Try again shortly, with the same Idempotency-Key.',
      { retryAfterSeconds: RETRY_AFTER_SECONDS, cause: error },
    );
  }
}

/** Whether the source does not work now, but may later. */
export function isSourceAway(error: unknown): boolean {
  if (error instanceof NotOursError || error instanceof SetupError || error instanceof PoolBusyError)
    return true;
  if (error instanceof pg.DatabaseError) return classifySourceError(error) !== 'reject';
  return classifyTransient(error) !== undefined;
}

/**
 * SQLSTATE classes with which the source refuses a value or a comparison: data exceptions, broken
 * constraints, missing operators.
 */
const REFUSED = /^(22|23|42)/;

/** SQLSTATEs that only the request can cause: a value too long for any row, a statement too complex. */
const TOO_MUCH: ReadonlySet<string> = new Set(['54000', '54001', '54023']);

/** Whether the source accepts a statement with these values. Throws errors other than a refusal. */
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
