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

/** Makes the workers of a process go slower while the source is under pressure. */
export interface Throttle {
  /** Share of their time that workers spend with the source now: 1 at full pace. */
  readonly pace: number;
  /** After so much time with the source; returns when the worker may go on. Never throws. */
  rest(workedMs: number, signal: AbortSignal): Promise<void>;
}

/** Between two looks; a poll is a read of statistics, and none is taken while nothing is worked on. */
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
        // Noted first, so that of the workers that come by meanwhile none looks too.
        polledAtMs = nowMs;
        await poll().catch((error: unknown) => log.warn('bulk.pressure_unknown', { error }));
      }
      const pauseMs = restMs(workedMs, pace);
      if (pauseMs > 0) await deps.sleep(pauseMs, signal);
    },
  };
}
