import { expect, test } from 'vitest';
import {
  afterFailure,
  afterSuccess,
  afterThrottling,
  DISABLE_AFTER_MS,
  type EndpointHealth,
  HEALTHY,
  isLost,
  isOpen,
  OPEN_AFTER,
} from './endpoint-health.ts';

/** So many failures, each as soon as a request may start. */
const fail = (times: number): EndpointHealth => {
  let health = HEALTHY;
  for (let n = 0; n < times; n++) health = afterFailure(health, health.restUntilMs, () => 0.999);
  return health;
};
const restSeconds = (times: number) =>
  Math.round((fail(times).restUntilMs - fail(times - 1).restUntilMs) / 1_000);

test('a few failures neither rest the endpoint nor narrow it', () => {
  const health = fail(OPEN_AFTER - 1);
  expect(isOpen(health)).toBe(false);
  expect(health.restUntilMs).toBe(0);
  expect(health.window).toBe(HEALTHY.window);
});

test('an open breaker lets one probe through, and rests longer after each up to a minute', () => {
  expect(fail(OPEN_AFTER)).toMatchObject({ window: 1, failingSinceMs: 0 });
  const rests = [0, 1, 2, 5, 6, 20].map((n) => restSeconds(OPEN_AFTER + n));
  expect(rests).toEqual([1, 2, 4, 32, 60, 60]);
});

test('requests that were under way when it opened do not make it rest longer', () => {
  const open = fail(OPEN_AFTER);
  expect(afterFailure(open, open.restUntilMs - 1)).toBe(open);
});

test('one success closes it, and the window grows by one per success from there', () => {
  let health = fail(OPEN_AFTER + 3);
  const nowMs = health.restUntilMs;
  health = afterSuccess(health, nowMs, 4);
  expect(health).toEqual({ ...HEALTHY, window: 2 });
  health = afterSuccess(health, nowMs, 4);
  expect(health.window).toBe(3);
  expect(afterSuccess(health, nowMs, 4)).toBe(HEALTHY);
});

test('a rest that was asked for lasts, whatever answers come to requests from before it', () => {
  const resting = afterThrottling(HEALTHY, 20, 30_000, 1_000);
  const answered = afterSuccess(resting, 1_100, 20);
  expect(answered).toEqual({ ...resting, failuresInRow: 0, failingSinceMs: undefined });
  expect(afterSuccess(answered, 31_000, 20)).toEqual({ ...HEALTHY, window: 11 });
});

test('overload rests the endpoint as long as it asks and halves its window', () => {
  const health = afterThrottling(HEALTHY, 20, 3_000, 1_000);
  expect(health).toMatchObject({ restUntilMs: 4_000, window: 10, failuresInRow: 1 });
  expect(afterThrottling(health, 10, 500, 1_500).restUntilMs).toBe(4_000);
  expect(afterThrottling(health, 1, undefined, 5_000, () => 0.999).restUntilMs).toBe(6_999);
});

test('an endpoint is lost after days without one success', () => {
  const health = fail(OPEN_AFTER);
  expect(isLost(health, DISABLE_AFTER_MS - 1)).toBe(false);
  expect(isLost(health, DISABLE_AFTER_MS)).toBe(true);
  expect(isLost(fail(3), DISABLE_AFTER_MS)).toBe(false);
  expect(isLost(afterSuccess(health, DISABLE_AFTER_MS, 20), 2 * DISABLE_AFTER_MS)).toBe(false);
});
