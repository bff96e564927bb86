/** How much of its second an endpoint may use at once. */
const BURST_MS = 100;

/** Spaces requests of one endpoint: at most `perSecond` of them, and no more than a tenth of that in one go. */
export interface RateLimit {
  /** When the next may start, in epoch milliseconds; now or earlier means at once. */
  readonly nextAtMs: number;
  take(nowMs: number): void;
}

export function createRateLimit(perSecond: number | undefined): RateLimit {
  if (perSecond === undefined) return { nextAtMs: 0, take: () => undefined };
  const intervalMs = 1_000 / perSecond;
  const burstMs = Math.max(BURST_MS, intervalMs) - intervalMs;
  /** When a sender that never paused would have used up what it has taken. */
  let usedUpAtMs = 0;
  return {
    get nextAtMs() {
      return usedUpAtMs - burstMs;
    },
    take(nowMs) {
      usedUpAtMs = Math.max(nowMs, usedUpAtMs) + intervalMs;
    },
  };
}
