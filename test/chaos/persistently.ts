import { setTimeout as delay } from 'node:timers/promises';

/** How long anything may take to come to rest once nothing is broken any more. */
export const DRAIN_LIMIT_MS = 120_000;

/** A client that does not give up while services die and come back; what is wrong for good is thrown in the end. */
export async function persistently<T>(attempt: () => Promise<T>): Promise<T> {
  const deadlineMs = Date.now() + DRAIN_LIMIT_MS;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() > deadlineMs || isFinal(error)) throw error;
      await delay(200);
    }
  }
}

/** An export that failed stays failed: no retry of the question changes the answer. */
function isFinal(error: unknown): boolean {
  return error instanceof Error && / ended (failed|cancelled|expired)/.test(error.message);
}
