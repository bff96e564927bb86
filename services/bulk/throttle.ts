import type { Log } from '../../../shared/runtime/log.ts';
import type { sleep } from '../../../shared/runtime/sleep.ts';
import { findPressureReason, nextPace, type Pressure, type PressureLimits, restMs } from './pressure.ts';

export interface ThrottleDeps {
  readonly limits: PressureLimits;
  readonly log: Log;
  read(): Promise<Omit<Pressure, 'chunkMs'>>;
  /** Milliseconds of a clock that only goes forward. */
  now(): number;
  sleep: typeof sleep;
}

/** Slows the workers of this process down while the source is under pressure. */
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
