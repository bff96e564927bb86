import { createRequire } from 'node:module';
import { expect, test } from 'vitest';
import { createThrottleReport, reportThrottles, THROTTLED } from './report-throttle.ts';

test('a wait that kafkajs is told of is in its log, and obeyed', () => {
  const RequestQueue = createRequire(import.meta.url)('kafkajs/src/network/requestQueue/index.js');
  reportThrottles();
  const said: unknown[] = [];
  const logger = { warn: (...line: unknown[]) => void said.push(line), debug: () => undefined };
  const queue = new RequestQueue({ clientId: 'c', broker: 'b:1', logger });
  queue.maybeThrottle(0);
  queue.maybeThrottle(null);
  expect(said).toEqual([]);
  expect(queue.canSendSocketRequestImmediately()).toBe(true);
  queue.maybeThrottle(60_000);
  expect(said).toEqual([[THROTTLED, { broker: 'b:1', clientId: 'c', throttleMs: 60_000 }]]);
  expect(queue.canSendSocketRequestImmediately()).toBe(false);
});

test('waits are summed up to one line a minute, and short ones alone make none', () => {
  const waits: unknown[] = [];
  let nowMs = 0;
  const report = createThrottleReport({ warn: (_, fields) => void waits.push(fields?.waitMs) }, () => nowMs);
  const wait = (throttleMs: number) => report({ broker: 'b:1', clientId: 'c', throttleMs });
  wait(400);
  wait(500);
  expect(waits).toEqual([]);
  wait(700);
  expect(waits).toEqual([1_600]);
  wait(5_000);
  nowMs = 59_999;
  wait(5_000);
  expect(waits).toEqual([1_600]);
  nowMs = 60_000;
  wait(1);
  expect(waits).toEqual([1_600, 10_001]);
});
