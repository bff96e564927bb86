const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

/**
 * After the n-th failed attempt (n from 1) the next one follows this much later; all together about three days. This is
 * the published schedule; `RETRY_SCHEDULE_SECONDS` is for an operator whose customers were promised another.
 */
export const RETRY_DELAYS_MS: readonly number[] = [
  5 * SECOND_MS,
  5 * MINUTE_MS,
  30 * MINUTE_MS,
  2 * HOUR_MS,
  5 * HOUR_MS,
  10 * HOUR_MS,
  14 * HOUR_MS,
  20 * HOUR_MS,
  24 * HOUR_MS,
];

/** A delay is stretched by up to this share of itself, so that what failed together does not come back together. */
const JITTER = 0.2;

/**
 * When an event is tried again that has failed `attemptCount` times, in epoch milliseconds.
 *
 * @returns undefined when the schedule is used up: the event is dead until someone redelivers it
 */
export function nextAttemptAtMs(
  attemptCount: number,
  nowMs: number,
  random: () => number = Math.random,
  delaysMs: readonly number[] = RETRY_DELAYS_MS,
): number | undefined {
  const delay = delaysMs[attemptCount - 1];
  return delay === undefined ? undefined : Math.round(nowMs + delay * (1 + JITTER * random()));
}
