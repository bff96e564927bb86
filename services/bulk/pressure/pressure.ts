/** How the source is, as one poll at it says. */
export interface Pressure {
  /** WAL that the slot furthest behind in this database holds back, in bytes. */
  readonly slotLagBytes: number;
  /** How far the slowest standby or subscriber is behind in time. */
  readonly replayLagMs: number;
  /** Sessions that wait for a lock which a bulk operation holds. */
  readonly blockedSessions: number;
  /** Sessions other than Tandem's that are executing something. */
  readonly activeSessions: number;
  /** The longest that one chunk's statements took since the last poll. */
  readonly chunkMs: number;
}

export type PressureLimits = Pressure;

/** What is over its limit. */
export interface PressureReason {
  readonly signal: keyof Pressure;
  readonly value: number;
  readonly limit: number;
}

/** Of several reasons the one that is furthest over its limit; undefined when the source is well. */
export function findPressureReason(pressure: Pressure, limits: PressureLimits): PressureReason | undefined {
  const reasons = (Object.keys(limits) as (keyof Pressure)[])
    .map((signal) => ({ signal, value: pressure[signal], limit: limits[signal] }))
    .filter(({ value, limit }) => value > limit)
    .sort((a, b) => b.value / b.limit - a.value / a.limit);
  return reasons[0];
}

/** Of the time a worker spends with the source; never less, so that a job ends also beside a slot that nobody reads. */
export const LEAST_PACE = 1 / 16;

/** Halved with each poll that finds pressure, and back to the full pace within a quarter of a minute. */
export function nextPace(pace: number, isPressed: boolean): number {
  return isPressed ? Math.max(LEAST_PACE, pace / 2) : Math.min(1, pace * 1.25);
}

/** No rest is longer: a chunk that took long once must not make its worker poll dead. */
const MAX_REST_MS = 5_000;

/** How long a worker leaves the source alone after it was busy there for so long. */
export function restMs(workedMs: number, pace: number): number {
  return Math.min(MAX_REST_MS, workedMs * (1 / pace - 1));
}
