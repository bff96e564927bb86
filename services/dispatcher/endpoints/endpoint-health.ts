import { backoffMs } from '../../../shared/runtime/retry.ts';

/**
 * The circuit breaker of one endpoint, as a value. While it is closed, a failed event is scheduled for retry and others go on;
 * after `OPEN_AFTER` failures with no success between, it opens: the endpoint rests, then gets one probe at a
 * time, each of another record, and its cursor stands still, so that an outage costs no row per event. One success
 * closes it, and the number of requests at once grows from one again, so that it catches up without a burst.
 */
export interface EndpointHealth {
  readonly failuresInRow: number;
  /** When the first of them was, in epoch milliseconds. */
  readonly failingSinceMs: number | undefined;
  /** No request starts before; 0 when it does not rest. */
  readonly restUntilMs: number;
  /** How many requests may be in flight now; whoever asks also heeds the endpoint's own limit. */
  readonly window: number;
}

export const HEALTHY: EndpointHealth = {
  failuresInRow: 0,
  failingSinceMs: undefined,
  restUntilMs: 0,
  window: Number.MAX_SAFE_INTEGER,
};

/** Random failures of one in twenty reach ten in a row about once in 10^13 events. */
export const OPEN_AFTER = 10;

/** 1, 2, 4, … 60 seconds between probes: an outage of an hour costs some sixty, and its end is noticed in a minute. */
const REST = { initialMs: 1_000, maxMs: 60_000 };

/** Failing this long without a single success, an endpoint is given up and its owner told. */
export const DISABLE_AFTER_MS = 5 * 24 * 60 * 60 * 1_000;

export function isOpen(health: EndpointHealth): boolean {
  return health.failuresInRow >= OPEN_AFTER;
}

export function afterSuccess(health: EndpointHealth, nowMs: number, maxWindow: number): EndpointHealth {
  if (health === HEALTHY) return HEALTHY;
  // While it rests, what succeeds was sent before: it is well, but it asked for the rest, and for less at once, all the same.
  if (nowMs < health.restUntilMs) return { ...health, failuresInRow: 0, failingSinceMs: undefined };
  const window = health.window + 1;
  return window >= maxWindow ? HEALTHY : { ...HEALTHY, window };
}

export function afterFailure(
  health: EndpointHealth,
  nowMs: number,
  random: () => number = Math.random,
): EndpointHealth {
  // While it rests, only requests fail that started before: they are part of the failure that made it rest.
  if (isOpen(health) && nowMs < health.restUntilMs) return health;
  const failuresInRow = health.failuresInRow + 1;
  const failingSinceMs = health.failingSinceMs ?? nowMs;
  if (failuresInRow < OPEN_AFTER) return { ...health, failuresInRow, failingSinceMs };
  const restMs = backoffMs(failuresInRow - OPEN_AFTER, { ...REST, random });
  const restUntilMs = Math.max(health.restUntilMs, nowMs + restMs);
  return { failuresInRow, failingSinceMs, restUntilMs, window: 1 };
}

/** The endpoint asked for less: it rests as long as it said, else a little longer each time, and half as much at once follows. */
export function afterThrottling(
  health: EndpointHealth,
  inFlightCount: number,
  askedRestMs: number | undefined,
  nowMs: number,
  random: () => number = Math.random,
): EndpointHealth {
  const failed = afterFailure(health, nowMs, random);
  const restMs = askedRestMs ?? backoffMs(health.failuresInRow, { ...REST, random });
  return {
    ...failed,
    restUntilMs: Math.max(failed.restUntilMs, nowMs + restMs),
    window: Math.max(1, Math.floor(Math.min(health.window, inFlightCount) / 2)),
  };
}

/** Whether to give the endpoint up. Never while it only rests at its own request or has failed just now and then. */
export function isLost(health: EndpointHealth, nowMs: number): boolean {
  const { failingSinceMs } = health;
  return isOpen(health) && failingSinceMs !== undefined && nowMs - failingSinceMs >= DISABLE_AFTER_MS;
}
