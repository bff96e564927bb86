import type { Send, SendOutcome, SendRequest } from './send.ts';

/** The outcome of one try. `isStale`: an idle connection was used that the receiver was just closing. */
export interface Try {
  readonly outcome: SendOutcome;
  readonly isStale: boolean;
}

/**
 * Repeats a request once when it met an idle connection that the receiver was just closing. That is no failure of the
 * endpoint, and HTTP clients repeat such requests on another connection (RFC 9112, 9.3.1). The event's ID makes the
 * repeat harmless. Both tries together have `timeoutMs`.
 */
export function repeatWhenStale(
  timeoutMs: number,
  attempt: (request: SendRequest, timeoutMs: number) => Promise<Try>,
): Send {
  return async (request) => {
    const startedAtMs = performance.now();
    const first = await attempt(request, timeoutMs);
    if (!first.isStale) return first.outcome;
    const spentMs = Math.round(performance.now() - startedAtMs);
    const { outcome } = await attempt(request, Math.max(1, timeoutMs - spentMs));
    return { ...outcome, durationMs: spentMs + outcome.durationMs };
  };
}
