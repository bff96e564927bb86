import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, expect, test, vi } from 'vitest';
import { createRateLimit, createRequestLimiter, createStartTurns } from './request-starts.ts';

afterEach(() => {
  vi.useRealTimers();
});

/** @param waitedMs by default the process has a processor all the time */
const setUp = (waitedMs = () => 0) => {
  const started: string[] = [];
  const turns = createStartTurns(1_000, 15_000, waitedMs);
  /** An endpoint that has so many requests to start. */
  const endpoint = (accountId: string, name: string, count: number, isAnswering = true) => {
    let left = count;
    const pump = () => {
      while (left > 0 && turns.take(accountId, pump, isAnswering)) {
        left -= 1;
        started.push(name);
      }
    };
    return pump;
  };
  return { started, endpoint };
};

test('a turn of the event loop starts eight requests', async () => {
  const { started, endpoint } = setUp();
  endpoint('a', 'a1', 20)();
  expect(started).toHaveLength(8);
  await nextTurn();
  expect(started).toHaveLength(16);
  await nextTurn();
  await nextTurn();
  expect(started).toHaveLength(20);
});

test('a turn that waited for a processor starts what it would have started meanwhile, within a limit', async () => {
  let waitedMs = 1_000;
  const { started, endpoint } = setUp(() => waitedMs);
  endpoint('a', 'a1', 1_000)();
  endpoint('b', 'b1', 1_000)();
  expect(started).toHaveLength(8);
  waitedMs += 6;
  await nextTurn();
  expect(started).toHaveLength(8 + 24);
  expect(started.filter((name) => name === 'b1')).toHaveLength(12);
  await nextTurn();
  expect(started).toHaveLength(8 + 24 + 8);
  waitedMs += 500;
  await nextTurn();
  expect(started).toHaveLength(8 + 24 + 8 + 64);
});

test('whoever starts many is followed by everybody else first, by account and then by endpoint', async () => {
  const { started, endpoint } = setUp();
  endpoint('a', 'a1', 1_000)();
  endpoint('a', 'a2', 1_000)();
  started.length = 0;
  endpoint('b', 'b1', 2)();
  endpoint('c', 'c1', 1)();
  await nextTurn();
  expect(started).toEqual(['a1', 'b1', 'c1', 'a2', 'b1', 'a1', 'a2', 'a1']);
});

test('one that asks again while it waits has one turn', async () => {
  const { started, endpoint } = setUp();
  endpoint('a', 'a1', 9)();
  const late = endpoint('b', 'b1', 1);
  late();
  late();
  await nextTurn();
  await nextTurn();
  expect(started).toEqual([...Array(9).fill('a1'), 'b1']);
});

test('a thousand requests of endpoints that hang are spread over seconds, and hold up none that answers', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout'] });
  const { started, endpoint } = setUp();
  for (let n = 0; n < 500; n++) endpoint(`loud${n % 10}`, 'loud', 2, false)();
  expect(started).toHaveLength(3);
  endpoint('quiet', 'quiet', 8)();
  expect(started.filter((name) => name === 'quiet')).toHaveLength(8);
  await vi.advanceTimersByTimeAsync(1_000);
  // The room for 1,000 of them is full again in half of the time that they take to end.
  expect(started.length).toBeGreaterThan(100);
  expect(started.length).toBeLessThan(200);
  await vi.advanceTimersByTimeAsync(7_000);
  expect(started).toHaveLength(1_008);
});

const ENDPOINT_BUSY = 5;

/** Takes what the account may have. */
function fill(limiter: ReturnType<typeof createRequestLimiter>, account: string): number {
  let count = 0;
  for (; limiter.mayBegin(account, ENDPOINT_BUSY); count += 1) limiter.note(account, 1);
  return count;
}

test('an account by itself takes half of the room, and leaves some however many come', () => {
  const limiter = createRequestLimiter(1_000);
  expect(fill(limiter, 'a')).toBe(500);
  expect(fill(limiter, 'b')).toBe(250);
  expect(fill(limiter, 'c')).toBe(125);
});

test('what an account takes beyond its share goes to others as its requests end', () => {
  const limiter = createRequestLimiter(900);
  fill(limiter, 'a');
  fill(limiter, 'b');
  for (let n = 0; n < 450; n += 1) {
    limiter.note('a', -1);
    while (limiter.mayBegin('b', ENDPOINT_BUSY)) limiter.note('b', 1);
    while (limiter.mayBegin('a', ENDPOINT_BUSY)) limiter.note('a', 1);
  }
  expect(fill(limiter, 'c')).toBeGreaterThan(100);
});

test('an endpoint with nothing under way always gets one request through', () => {
  const limiter = createRequestLimiter(2);
  for (const account of ['a', 'b', 'c']) limiter.note(account, 1);
  expect(limiter.mayBegin('a', 0)).toBe(true);
  expect(limiter.mayBegin('a', 1)).toBe(false);
});

const countStarted = (perSecond: number | undefined, forMs: number) => {
  const limit = createRateLimit(perSecond);
  let count = 0;
  for (let nowMs = 1_000_000; nowMs < 1_000_000 + forMs; nowMs++) {
    while (limit.nextAtMs <= nowMs && count < 10_000) {
      limit.take(nowMs);
      count += 1;
    }
  }
  return count;
};

test('in ten seconds no more start than ten times the rate and one small burst', () => {
  expect(countStarted(50, 10_000)).toBeLessThanOrEqual(505);
  expect(countStarted(50, 10_000)).toBeGreaterThanOrEqual(499);
});

test('nothing is saved up for a larger burst', () => {
  expect(countStarted(50, 1)).toBe(5);
  expect(countStarted(1, 1)).toBe(1);
});

test('without a limit nothing waits', () => {
  expect(countStarted(undefined, 1)).toBe(10_000);
});
