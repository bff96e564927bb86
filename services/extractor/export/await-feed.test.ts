import { expect, test } from 'vitest';
import { createLog } from '../../../shared/runtime/log.ts';
import type { FeedState } from '../store/feed-state.ts';
import {
  assertSameTimeline,
  createFeedWatch,
  createSettleWatch,
  isSettledPast,
  pollIntervalMs,
} from './await-feed.ts';

const SERVER = { systemId: '7', timeline: 1 };

function feed(state: Partial<FeedState> = {}): FeedState {
  return { systemId: '7', timeline: 1, settledLsn: 100n, passedLsn: 100n, ...state };
}

function watchAt(start = 0) {
  let nowMs = start;
  const watch = createFeedWatch(SERVER, 60_000, () => nowMs);
  return {
    checkAt(ms: number, state: FeedState | undefined) {
      nowMs = ms;
      watch.check(state);
    },
  };
}

test('a feed that moves is waited for however long it takes', () => {
  const { checkAt } = watchAt();
  for (let minute = 0; minute < 100; minute += 1) {
    checkAt(minute * 59_000, feed({ passedLsn: BigInt(minute) }));
  }
});

test('a feed that stands still for the limit is not running', () => {
  const { checkAt } = watchAt();
  checkAt(0, feed());
  checkAt(59_999, feed());
  expect(() => checkAt(60_000, feed())).toThrow(expect.objectContaining({ code: 'feed_not_running' }));
  expect(() => watchAt().checkAt(60_000, undefined)).toThrow(/capture and dispatcher/);
});

test('a feed of another server is told at once', () => {
  expect(() => watchAt().checkAt(0, feed({ systemId: '8' }))).toThrow(
    expect.objectContaining({ code: 'feed_mismatch' }),
  );
});

test('only the same server on the same timeline has settled past a position', () => {
  // A commit at 101 itself may be open.
  expect(isSettledPast(feed(), SERVER, 101n)).toBe(true);
  expect(isSettledPast(feed(), SERVER, 102n)).toBe(false);
  expect(isSettledPast(feed({ timeline: 2 }), SERVER, 100n)).toBe(false);
  expect(isSettledPast(undefined, SERVER, 0n)).toBe(false);
});

test('a failover during the export fails it', () => {
  expect(() => assertSameTimeline(feed(), SERVER)).not.toThrow();
  expect(() => assertSameTimeline(feed({ timeline: 2 }), SERVER)).toThrow(/failed over/);
});

test('what comes soon is seen soon, and a long wait is not spent looking', () => {
  expect([0, 100, 400, 1_000, 60_000].map(pollIntervalMs)).toEqual([20, 20, 40, 100, 150]);
});

test('whom an export waits for is told after 10 s and each minute, and the wait ends', async () => {
  let nowMs = 0;
  const lines: string[] = [];
  const watch = createSettleWatch({
    exportId: 'exp_1',
    timeoutMs: 100_000,
    source: {
      query: async () => ({
        rows: [{ pid: '42', age_seconds: '90', application_name: 'nightly', state: 'idle in transaction' }],
        rowCount: 1,
      }),
    },
    log: createLog('info', {}, (line) => void lines.push(line)),
    now: () => nowMs,
  });
  for (nowMs = 0; nowMs < 100_000; nowMs += 1_000) await watch.check();
  expect(lines.map((line) => JSON.parse(line).waitedMs)).toEqual([10_000, 70_000]);
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({
    event: 'export.waits_for_transactions',
    transactions: [{ pid: 42, ageSeconds: 90, application: 'nightly' }],
  });
  await expect(watch.check()).rejects.toMatchObject({ code: 'feed_not_settled' });
});
