import { expect, onTestFinished, test, vi } from 'vitest';
import { silentLog } from '../../../shared/runtime/log.ts';
import { createOffsetCommits } from './offset-commits.ts';

const INTERVAL_MS = 500;

function setUp(failures: unknown[], saveFirst?: () => Promise<void>) {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const committed: string[] = [];
  const consumer = {
    async commitOffsets(offsets: readonly { partition: number; offset: string }[]) {
      const failure = failures.shift();
      if (failure !== undefined) throw failure;
      committed.push(...offsets.map(({ partition, offset }) => `${partition}:${offset}`));
    },
  };
  return { committed, commits: createOffsetCommits(consumer, silentLog, saveFirst) };
}

test('the last offset noted of each partition is committed, as the next one to read', async () => {
  const { committed, commits } = setUp([]);
  commits.note('changes', 0, '4');
  commits.note('changes', 0, '7');
  commits.note('changes', 1, '2');
  await vi.advanceTimersByTimeAsync(INTERVAL_MS);
  expect(committed).toEqual(['0:8', '1:3']);
});

test('what could not be committed is tried again, behind what was noted since', async () => {
  const { committed, commits } = setUp([new Error('the broker is away')]);
  commits.note('changes', 0, '4');
  commits.note('changes', 1, '2');
  await vi.advanceTimersByTimeAsync(INTERVAL_MS);
  commits.note('changes', 0, '9');
  await vi.advanceTimersByTimeAsync(INTERVAL_MS);
  expect(committed.sort()).toEqual(['0:10', '1:3']);
});

test('after a rebalance nothing is committed that was noted before', async () => {
  const cause = Object.assign(new Error('no'), { type: 'REBALANCE_IN_PROGRESS' });
  // As kafkajs says it.
  const { committed, commits } = setUp([new Error('no', { cause })]);
  commits.note('changes', 0, '4');
  await vi.advanceTimersByTimeAsync(INTERVAL_MS * 3);
  expect(committed).toEqual([]);
});

test('what could not be committed is not tried again once the group was joined again meanwhile', async () => {
  const failed = Promise.withResolvers<void>();
  const { committed, commits } = setUp([], () => failed.promise);
  commits.note('changes', 0, '4');
  await vi.advanceTimersByTimeAsync(INTERVAL_MS);
  commits.forgetAll();
  failed.reject(new Error('the store is away'));
  await vi.advanceTimersByTimeAsync(INTERVAL_MS * 3);
  expect(committed).toEqual([]);
});

test('what is stored first may take until the group was joined again, and nothing is committed then', async () => {
  const stored = Promise.withResolvers<void>();
  const { committed, commits } = setUp([], () => stored.promise);
  commits.note('changes', 0, '4');
  await vi.advanceTimersByTimeAsync(INTERVAL_MS);
  commits.forgetAll();
  commits.note('changes', 1, '2');
  stored.resolve();
  await vi.advanceTimersByTimeAsync(INTERVAL_MS);
  expect(committed).toEqual(['1:3']);
});

test('once the group was joined again nothing is committed that was noted before', async () => {
  const { committed, commits } = setUp([]);
  commits.note('changes', 0, '4');
  commits.forgetAll();
  commits.note('changes', 1, '2');
  await vi.advanceTimersByTimeAsync(INTERVAL_MS);
  expect(committed).toEqual(['1:3']);
});

test('the last commit is tried once', async () => {
  const { committed, commits } = setUp([new Error('the broker is away')]);
  commits.note('changes', 0, '4');
  await commits.flush();
  await vi.advanceTimersByTimeAsync(INTERVAL_MS * 3);
  expect(committed).toEqual([]);
});
