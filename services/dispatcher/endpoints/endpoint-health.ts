import { backoffMs } from '../../../shared/runtime/retry.ts';

/**
 * The circuit breaker of one endpoint, as a value. While closed, a failed event is scheduled for retry and others
 * continue. It opens after `OPEN_AFTER` failures in a row: the endpoint pauses, then gets one probe at a time, each of
 * another record. Its cursor stands still, so an outage adds no row per event. One success closes it. The limit of
 * concurrent requests then grows from one, so that the endpoint catches up without a burst.
 */
export interface EndpointHealth {
  readonly failuresInRow: number;
  /** Time of the first failure of the current row, in epoch milliseconds. */
  readonly failingSinceMs: number | undefined;
  /** No request starts before this time, in epoch milliseconds; 0 without a pause. */
  readonly restUntilMs: number;
  /** Limit of concurrent requests now. The endpoint's own limit applies as well. */
  readonly window: number;
}

export const HEALTHY: EndpointHealth = {
  failuresInRow: 0,
  failingSinceMs: undefined,
  restUntilMs: 0,
  window: Number.MAX_SAFE_INTEGER,
};

/** With one random failure in twenty, ten in a row occur about once in 10^13 events. */
export const OPEN_AFTER = 10;

/**
 * Pauses of 1, 2, 4, … 60 seconds between probes: an outage of an hour costs about sixty probes, and its end is noticed
 * within a minute.
 */
const REST = { initialMs: 1_000, maxMs: 60_000 };

/** An endpoint that fails this long without one success is disabled, and its owner gets an event. */
export const DISABLE_AFTER_MS = 5 * 24 * 60 * 60 * 1_000;

export function isOpen(health: EndpointHealth): boolean {
  return health.failuresInRow >= OPEN_AFTER;
}

export function afterSuccess(health: EndpointHealth, nowMs: number, maxWindow: number): EndpointHealth {
  if (health === HEALTHY) return HEALTHY;
  // During a pause only requests end that started before it. A success shows that the endpoint works, but the pause and
  // the smaller limit that it asked for stay.
  if (nowMs < health.restUntilMs) return { ...health, failuresInRow: 0, failingSinceMs: undefined };
  const window = health.window + 1;
  return window >= maxWindow ? HEALTHY : { ...HEALTHY, window };
}

export function afterFailure(
  health: EndpointHealth,
  nowMs: number,
  random: () => number = Math.random,
): EndpointHealth {
  // During a pause only requests fail that started before it: they belong to the failure that opened the breaker.
  if (isOpen(health) && nowMs < health.restUntilMs) return health;
  const failuresInRow = health.failuresInRow + 1;
  const failingSinceMs = health.failingSinceMs ?? nowMs;
  if (failuresInRow < OPEN_AFTER) return { ...health, failuresInRow, failingSinceMs };
  const restMs = backoffMs(failuresInRow - OPEN_AFTER, { ...REST, random });
  const restUntilMs = Math.max(health.restUntilMs, nowMs + restMs);
  return { failuresInRow, failingSinceMs, restUntilMs, window: 1 };
}

/**
 * The endpoint asked for fewer requests. It pauses as long as its response says, or a little longer each time, and
 * continues with half the limit of concurrent requests.
 */
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

/** Whether to disable the endpoint. False while it pauses at its own request, or fails only now and then. */
export function isLost(health: EndpointHealth, nowMs: number): boolean {
  const { failingSinceMs } = health;
  return isOpen(health) && failingSinceMs !== undefined && nowMs - failingSinceMs >= DISABLE_AFTER_MS;
}
