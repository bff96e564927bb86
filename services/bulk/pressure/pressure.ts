/** The load of the source, as one poll reads it. */
export interface Pressure {
  /** Bytes of WAL retained by the slot of this database that is furthest behind. */
  readonly slotLagBytes: number;
  /** Replay lag of the slowest standby or subscriber. */
  readonly replayLagMs: number;
  /** Sessions that wait for a lock held by a bulk job. */
  readonly blockedSessions: number;
  /** Sessions other than Tandem's that execute a statement. */
  readonly activeSessions: number;
  /** Longest time that one chunk's statements took since the last poll. */
  readonly chunkMs: number;
}

export type PressureLimits = Pressure;

/** A signal that is over its limit. */
export interface PressureReason {
  readonly signal: keyof Pressure;
  readonly value: number;
  readonly limit: number;
}

/** The signal that is furthest over its limit, relative to the limit; undefined when none is. */
export function findPressureReason(pressure: Pressure, limits: PressureLimits): PressureReason | undefined {
  const reasons = (Object.keys(limits) as (keyof Pressure)[])
    .map((signal) => ({ signal, value: pressure[signal], limit: limits[signal] }))
    .filter(({ value, limit }) => value > limit)
    .sort((a, b) => b.value / b.limit - a.value / a.limit);
  return reasons[0];
}

/** Lowest share of its time that a worker spends on the source, so that a job ends even when nobody reads a slot. */
export const LEAST_PACE = 1 / 16;

/** Halves the pace with each poll that finds pressure, and recovers full pace within 15 seconds. */
export function nextPace(pace: number, isPressed: boolean): number {
  return isPressed ? Math.max(LEAST_PACE, pace / 2) : Math.min(1, pace * 1.25);
}

/** Longest rest: one slow chunk must not make its worker look dead. */
const MAX_REST_MS = 5_000;

/** How long a worker rests after `workedMs` of work on the source. */
export function restMs(workedMs: number, pace: number): number {
  return Math.min(MAX_REST_MS, workedMs * (1 / pace - 1));
}
