import pg from 'pg';
import type { Log } from '../../shared/runtime/log.ts';
import { retry } from '../../shared/runtime/retry.ts';
import { classifySqlState } from '../../shared/runtime/transient.ts';

/** About five minutes with pauses of up to 5 s: a failover or an upgrade of the control store, not a night. */
const MAX_ATTEMPTS = 64;

const BACKOFF = { initialMs: 100, maxMs: 5_000 };

/**
 * Runs statements on the control store again while it can't be reached. They must be harmless when repeated, because
 * an answer may get lost after the commit.
 *
 * @throws the failure when it is not one of the connection, or after many attempts
 */
export async function retryQuery<T>(what: string, log: Log, run: () => Promise<T>): Promise<T> {
  const options = { what, log, backoff: BACKOFF, maxAttempts: MAX_ATTEMPTS, isRetryable: mayPassByItself };
  try {
    return await retry(options, run);
  } catch (cause) {
    throw new Error(what, { cause });
  }
}

/** What is not an answer of the server is a failure on the way to it. A bug of ours is a TypeError or RangeError. */
export function mayPassByItself(error: unknown): boolean {
  if (error instanceof pg.DatabaseError) return classifySqlState(error.code) !== undefined;
  return error instanceof Error && !(error instanceof TypeError) && !(error instanceof RangeError);
}
