import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { backoffMs } from '../../shared/runtime/backoff.ts';
import type { Log } from '../../shared/runtime/log.ts';
import { classifySqlState } from '../../shared/runtime/transient.ts';

/** About five minutes with pauses of up to 5 s: a failover or an upgrade of the control store, not a night. */
const MAX_TRIES = 64;

/**
 * Runs statements on the control store again while it can't be reached. They must be harmless when repeated, because
 * an answer may get lost after the commit.
 *
 * @throws the failure when it is not one of the connection, or after many tries
 */
export async function retryQuery<T>(what: string, log: Log, run: () => Promise<T>): Promise<T> {
  for (let tryCount = 1; ; tryCount += 1) {
    try {
      return await run();
    } catch (error) {
      if (tryCount === MAX_TRIES || !mayPassByItself(error)) throw new Error(what, { cause: error });
      const report = tryCount < 3 ? log.debug : tryCount < 10 ? log.warn : log.error;
      report('control_store.missed', { what, tryCount, error });
      await delay(backoffMs(tryCount, { initialMs: 50, maxMs: 5_000 }));
    }
  }
}

/** What is not an answer of the server is a failure on the way to it. A bug of ours is a TypeError or RangeError. */
export function mayPassByItself(error: unknown): boolean {
  if (error instanceof pg.DatabaseError) return classifySqlState(error.code) !== undefined;
  return error instanceof Error && !(error instanceof TypeError) && !(error instanceof RangeError);
}
