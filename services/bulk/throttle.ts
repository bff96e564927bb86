import type { Queryable } from '../../shared/postgres/queryable.ts';
import type { Log } from '../../shared/runtime/log.ts';
import type { sleep } from '../../shared/runtime/sleep.ts';
import type { FeedBacklog } from './feed-backlog.ts';

export interface ThrottleDeps {
  readonly limits: PressureLimits;
  readonly log: Log;
  read(): Promise<Omit<Pressure, 'chunkMs'>>;
  /** Milliseconds of a clock that only goes forward. */
  now(): number;
  sleep: typeof sleep;
}

/** Slows the workers of this process down while the source is under pressure, or the feed is behind. */
export interface Throttle {
  /** Share of their time that workers spend on the source now: 1 at full pace. */
  readonly pace: number;
  /** Call after `workedMs` of work on the source; resolves when the worker may continue. Never throws. */
  rest(workedMs: number, signal: AbortSignal): Promise<void>;
}

/** Between two polls of the statistics. An idle process does not poll. */
const POLL_MS = 1_000;

export function createThrottle(deps: ThrottleDeps): Throttle {
  const { limits, log } = deps;
  let pace = 1;
  let polledAtMs = Number.NEGATIVE_INFINITY;
  let longestChunkMs = 0;

  const poll = async () => {
    const chunkMs = longestChunkMs;
    longestChunkMs = 0;
    const reason = findPressureReason({ ...(await deps.read()), chunkMs }, limits);
    const before = pace;
    pace = nextPace(pace, reason !== undefined);
    if (reason !== undefined && pace < before) log.warn('bulk.slowed', { pace, ...reason });
    if (pace === 1 && before < 1) log.info('bulk.full_pace');
  };

  return {
    get pace() {
      return pace;
    },
    async rest(workedMs, signal) {
      longestChunkMs = Math.max(longestChunkMs, workedMs);
      const nowMs = deps.now();
      if (nowMs - polledAtMs >= POLL_MS) {
        // Set before the poll, so that no other worker polls at the same time.
        polledAtMs = nowMs;
        await poll().catch((error: unknown) => log.warn('bulk.pressure_unknown', { error }));
      }
      const pauseMs = restMs(workedMs, pace);
      if (pauseMs > 0) await deps.sleep(pauseMs, signal);
    },
  };
}

/** The load of the source, and what the feed has not recorded, as one poll reads it. */
export interface Pressure {
  /** Bytes of WAL retained by the slot of this database that is furthest behind. */
  readonly slotLagBytes: number;
  /** Replay lag of the slowest standby or subscriber. */
  readonly replayLagMs: number;
  /** Sessions that wait for a lock held by a bulk job. */
  readonly blockedSessions: number;
  /** Sessions other than Tandem's that execute a statement. */
  readonly activeSessions: number;
  /** Changes that wait for more than a second to be in the event log. Events of every account wait behind them. */
  readonly unrecordedChanges: number;
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

/** Matches Tandem's own sessions. */
const OURS = `application_name like 'tandem %'`;

/** Slots of other databases also retain WAL, but what this job writes does not pass through them. */
const READ = `
select
  (select coalesce(max(pg_wal_lsn_diff(pg_current_wal_insert_lsn(), coalesce(confirmed_flush_lsn, restart_lsn))), 0)
   from pg_replication_slots where database is null or database = current_database())::text as slot_lag_bytes,
  (select coalesce(max(extract(epoch from replay_lag)), 0) * 1000 from pg_stat_replication)::text as replay_lag_ms,
  (select count(distinct l.pid) from pg_locks l
   where not l.granted and pg_blocking_pids(l.pid) && array(
     select pid from pg_stat_activity where ${OURS} and datname = current_database()))::text as blocked_sessions,
  (select count(*) from pg_stat_activity
   where state = 'active' and backend_type = 'client backend' and not ${OURS})::text as active_sessions`;

/**
 * Reads the load of the source, and how far the feed is behind. Without `pg_monitor`, PostgreSQL hides the sessions of other
 * roles and the lag of standbys; every role sees slots and locks.
 */
export async function readPressure(source: Queryable, feed: FeedBacklog): Promise<Omit<Pressure, 'chunkMs'>> {
  const [{ rows }, unrecordedChanges] = await Promise.all([
    source.query<Record<string, string>>({ name: 'bulk_pressure', text: READ }),
    feed.read(),
  ]);
  const row = rows[0] ?? {};
  return {
    slotLagBytes: Number(row.slot_lag_bytes ?? 0),
    replayLagMs: Number(row.replay_lag_ms ?? 0),
    blockedSessions: Number(row.blocked_sessions ?? 0),
    activeSessions: Number(row.active_sessions ?? 0),
    unrecordedChanges,
  };
}
