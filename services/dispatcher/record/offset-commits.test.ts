import { expect, test, vi } from 'vitest';
import { silentLog } from '../../../shared/runtime/log.ts';
import { createOffsetCommits } from './offset-commits.ts';

const INTERVAL_MS = 500;

function setUp(failures: unknown[]) {
  vi.useFakeTimers();
  const committed: string[] = [];
  const consumer = {
    async commitOffsets(offsets: readonly { partition: number; offset: string }[]) {
      const failure = failures.shift();
      if (failure !== undefined) throw failure;
      committed.push(...offsets.map(({ partition, offset }) => `${partition}:${offset}`));
    },
  };
  return { committed, commits: createOffsetCommits(consumer, silentLog) };
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
  const { committed, commits } = setUp([Object.assign(new Error('no'), { type: 'REBALANCE_IN_PROGRESS' })]);
  commits.note('changes', 0, '4');
  await vi.advanceTimersByTimeAsync(INTERVAL_MS * 3);
  expect(committed).toEqual([]);
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
