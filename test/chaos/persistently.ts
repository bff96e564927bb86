import { setTimeout as delay } from 'node:timers/promises';

/** How long anything may take to come to rest once nothing is broken any more. */
export const DRAIN_LIMIT_MS = 120_000;

/**
 * A client that does not give up while services die and come back; what is wrong for good is thrown in the end. Its patience runs
 * from the first failure, since an attempt may itself have waited for long, and been broken off by a kill.
 */
export async function persistently<T>(attempt: () => Promise<T>): Promise<T> {
  let failedAtMs: number | undefined;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      failedAtMs ??= Date.now();
      if (Date.now() - failedAtMs > DRAIN_LIMIT_MS || isFinal(error)) throw error;
      await delay(200);
    }
  }
}

/** An export that failed stays failed: no retry of the question changes the answer. */
function isFinal(error: unknown): boolean {
  return error instanceof Error && / ended (failed|cancelled|expired)/.test(error.message);
}
