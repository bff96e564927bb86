import { createRequire } from 'node:module';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { quietTimers, type RequestQueue } from './quiet-timers.ts';

const require = createRequire(import.meta.url);

interface Queue extends RequestQueue {
  maybeThrottle(ms: number): void;
  push(request: object): void;
  fulfillRequest(response: object): void;
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** kafkajs's own class, with what is sent on its connection and what has failed. */
function setUp() {
  quietTimers();
  quietTimers();
  const Queue = require('kafkajs/src/network/requestQueue/index.js') as new (options: object) => Queue;
  const logger = { debug: () => undefined, warn: () => undefined };
  const queue = new Queue({
    maxInFlightRequests: 1,
    requestTimeout: 30_000,
    enforceRequestTimeout: true,
    clientId: 'test',
    broker: 'test',
    logger,
  });
  const sent: number[] = [];
  const failed: string[] = [];
  const push = (correlationId: number) =>
    queue.push({
      entry: {
        apiName: 'Fetch',
        correlationId,
        resolve: () => undefined,
        reject: (error: Error) => failed.push(`${correlationId}: ${error.name}`),
      },
      expectResponse: true,
      sendRequest: () => sent.push(correlationId),
    });
  const answer = (correlationId: number) =>
    queue.fulfillRequest({ correlationId, payload: Buffer.alloc(0), size: 0 });
  return { queue, sent, failed, push, answer };
}

test('a connection with nothing to send has no timer', () => {
  const { sent, push, answer } = setUp();
  push(1);
  answer(1);
  expect(sent).toEqual([1]);
  expect(vi.getTimerCount()).toBe(0);
});

test('what waits for a response is sent with it', () => {
  const { sent, push, answer } = setUp();
  push(1);
  push(2);
  expect(sent).toEqual([1]);
  answer(1);
  expect(sent).toEqual([1, 2]);
  answer(2);
  vi.advanceTimersByTime(100);
  expect(vi.getTimerCount()).toBe(0);
});

test('what the broker holds back is sent when the time is over', () => {
  const { queue, sent, push } = setUp();
  queue.maybeThrottle(5_000);
  push(1);
  vi.advanceTimersByTime(4_999);
  expect(sent).toEqual([]);
  vi.advanceTimersByTime(20);
  expect(sent).toEqual([1]);
});

test('a request without a response fails about when it is due', () => {
  const { queue, failed, push } = setUp();
  queue.scheduleRequestTimeoutCheck();
  push(1);
  vi.advanceTimersByTime(29_000);
  expect(failed).toEqual([]);
  vi.advanceTimersByTime(3_000);
  expect(failed).toEqual(['1: KafkaJSRequestTimeoutError']);
  queue.destroy();
  expect(vi.getTimerCount()).toBe(0);
});
