import { describe, expect, test } from 'vitest';
import { type Log, silentLog } from '../../shared/runtime/log.ts';
import {
  createThrottle,
  findPressureReason,
  LEAST_PACE,
  nextPace,
  type Pressure,
  restMs,
} from './throttle.ts';

const calm = { slotLagBytes: 0, replayLagMs: 0, blockedSessions: 0, activeSessions: 0, unrecordedChanges: 0 };
const limits = {
  slotLagBytes: 100,
  replayLagMs: 100,
  blockedSessions: 5,
  activeSessions: 5,
  unrecordedChanges: 5,
  chunkMs: 1_000,
};

function setUp() {
  const state = { nowMs: 0, reading: calm as typeof calm | undefined, looks: 0 };
  const rests: number[] = [];
  const told: string[] = [];
  const note = (event: string) => told.push(event);
  const log: Log = { ...silentLog, info: note, warn: note };
  const throttle = createThrottle({
    limits,
    log,
    async read() {
      state.looks += 1;
      if (state.reading === undefined) throw new Error('the source is away');
      return state.reading;
    },
    now: () => state.nowMs,
    async sleep(ms) {
      rests.push(ms);
    },
  });
  const rest = (workedMs: number) => throttle.rest(workedMs, new AbortController().signal);
  return { state, rests, told, rest, pace: () => throttle.pace };
}

test('nobody rests while the source is well, and it is looked at once a second', async () => {
  const { state, rests, rest } = setUp();
  for (state.nowMs = 0; state.nowMs < 3_000; state.nowMs += 100) await rest(80);
  expect(rests).toEqual([]);
  expect(state.looks).toBe(3);
});

test('under pressure rests grow with each poll, and it is said; then the pace comes back, and that is said too', async () => {
  const { state, rests, told, rest, pace } = setUp();
  state.reading = { ...calm, slotLagBytes: 500 };
  for (state.nowMs = 0; state.nowMs < 6_000; state.nowMs += 1_000) await rest(100);
  expect(rests).toEqual([100, 300, 700, 1_500, 1_500, 1_500]);
  expect(told).toEqual(['bulk.slowed', 'bulk.slowed', 'bulk.slowed', 'bulk.slowed']);
  expect(pace()).toBe(1 / 16);
  state.reading = calm;
  for (; state.nowMs < 30_000; state.nowMs += 1_000) await rest(100);
  expect(told.at(-1)).toBe('bulk.full_pace');
  expect(pace()).toBe(1);
  const count = rests.length;
  await rest(100);
  expect(rests).toHaveLength(count);
});

test('a chunk that took too long is a sign of its own', async () => {
  const { rests, rest } = setUp();
  await rest(1_200);
  expect(rests).toEqual([1_200]);
});

test('when the source can not be looked at, work goes on at the pace it has', async () => {
  const { state, rests, told, rest } = setUp();
  state.reading = undefined;
  await rest(100);
  expect(rests).toEqual([]);
  expect(told).toEqual(['bulk.pressure_unknown']);
});

describe('pressure', () => {
  const calm: Pressure = {
    slotLagBytes: 0,
    replayLagMs: 0,
    blockedSessions: 0,
    activeSessions: 3,
    unrecordedChanges: 0,
    chunkMs: 60,
  };
  const limits: Pressure = {
    slotLagBytes: 1_000,
    replayLagMs: 500,
    blockedSessions: 5,
    activeSessions: 50,
    unrecordedChanges: 1_000,
    chunkMs: 2_000,
  };

  test('at its limits the source is well, and over one of them it is not', () => {
    expect(findPressureReason(calm, limits)).toBeUndefined();
    expect(findPressureReason(limits, limits)).toBeUndefined();
    for (const signal of Object.keys(limits) as (keyof Pressure)[]) {
      const value = limits[signal] + 1;
      expect(findPressureReason({ ...calm, [signal]: value }, limits)).toEqual({
        signal,
        value,
        limit: limits[signal],
      });
    }
  });

  test('of several reasons the worst is named', () => {
    const pressed = { ...calm, replayLagMs: 600, blockedSessions: 20 };
    expect(findPressureReason(pressed, limits)?.signal).toBe('blockedSessions');
  });

  test('pressure halves the pace down to a floor, and it comes back within twenty looks', () => {
    let pace = 1;
    for (let poll = 0; poll < 10; poll += 1) pace = nextPace(pace, true);
    expect(pace).toBe(LEAST_PACE);
    for (let poll = 0; poll < 20; poll += 1) pace = nextPace(pace, false);
    expect(pace).toBe(1);
  });

  test('a rest follows from the work and the pace, and is bounded', () => {
    expect(restMs(100, 1)).toBe(0);
    expect(restMs(100, 1 / 2)).toBe(100);
    expect(restMs(100, LEAST_PACE)).toBe(1_500);
    expect(restMs(60_000, LEAST_PACE)).toBe(5_000);
  });
});
