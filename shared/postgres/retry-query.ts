import pg from 'pg';
import type { Log } from '../runtime/log.ts';
import { retry } from '../runtime/retry.ts';
import { classifySqlState } from '../runtime/transient.ts';

/** About five minutes with pauses of up to 5 s: enough for a failover or an upgrade of the control store. */
const MAX_ATTEMPTS = 64;

const BACKOFF = { initialMs: 100, maxMs: 5_000 };

/**
 * Retries statements on the control store while it is unreachable. They must be idempotent, because a response may be lost
 * after the commit.
 *
 * @param signal ends the retries
 * @throws an error that is not transient, or the last one after `MAX_ATTEMPTS`
 */
export async function retryQuery<T>(
  what: string,
  log: Log,
  run: () => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const options = {
    what,
    log,
    backoff: BACKOFF,
    maxAttempts: MAX_ATTEMPTS,
    isRetryable: mayPassByItself,
    ...(signal === undefined ? {} : { signal }),
  };
  try {
    return await retry(options, run);
  } catch (cause) {
    throw new Error(what, { cause });
  }
}

/** An error that is not a response of the server is a connection failure. A bug of ours is a TypeError or RangeError. */
export function mayPassByItself(error: unknown): boolean {
  if (error instanceof pg.DatabaseError) return classifySqlState(error.code) !== undefined;
  return error instanceof Error && !(error instanceof TypeError) && !(error instanceof RangeError);
}
