import pg from 'pg';
import { NotOursError } from '../../../shared/bulk/apply-items.ts';
import { classifySourceError } from '../../../shared/bulk/classify-source-error.ts';
import { PoolBusyError } from '../../../shared/postgres/connection-pool.ts';
import { AppError, SetupError } from '../../../shared/runtime/errors.ts';
import { classifyTransient } from '../../../shared/runtime/transient.ts';

const RETRY_AFTER_SECONDS = 5;

/** Tells a source that is away, busy or not prepared from a fault of ours: the first is the client's to try again. */
export async function whileSourceAnswers<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    // Of a busy pool the error door knows what to say, whichever of them it is.
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
