import { expect, test } from 'vitest';
import { findPressureReason, LEAST_PACE, nextPace, type Pressure, restMs } from './pressure.ts';

const calm: Pressure = {
  slotLagBytes: 0,
  replayLagMs: 0,
  blockedSessions: 0,
  activeSessions: 3,
  chunkMs: 60,
};
const limits: Pressure = {
  slotLagBytes: 1_000,
  replayLagMs: 500,
  blockedSessions: 5,
  activeSessions: 50,
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
