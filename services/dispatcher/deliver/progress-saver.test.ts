import { expect, test, vi } from 'vitest';
import type { ProgressBatch } from '../../../shared/control/webhooks/save-progress.ts';
import { FEED_START } from '../../../shared/domain/position.ts';
import { HEALTHY } from '../endpoints/endpoint-health.ts';
import { createProgressSaver, type Savable } from './progress-saver.ts';

const EMPTY: ProgressBatch = { endpoints: [], retries: [], endedRetries: [] };
const ENDPOINTS = ['a', 'b'];

/** Lets all that needs no more than the event loop come to rest. */
const settle = async () => {
  for (let n = 0; n < 10; n += 1) await new Promise((resolve) => setImmediate(resolve));
};

test('what is marked while a save is under way goes with the next one', async () => {
  const saves: PromiseWithResolvers<Set<string>>[] = [];
  const saver = createProgressSaver(() => {
    const save = Promise.withResolvers<Set<string>>();
    saves.push(save);
    return save.promise;
  });
  const told: string[] = [];
  const endpoint = (id: string): Savable => ({
    id,
    accountId: id,
    collect: () => EMPTY,
    onSaved: (isHeld) => void told.push(`${id} ${isHeld}`),
  });
  for (const id of ENDPOINTS) saver.mark(endpoint(id), true);
  await settle();
  saver.mark(endpoint('c'), true);
  await settle();
  expect(saves).toHaveLength(1);
  saves[0]?.resolve(new Set(['a']));
  await settle();
  expect(told).toEqual(['a true', 'b false']);
  expect(saves).toHaveLength(2);
});

test('an account with much to save holds up nobody else’s save, and has one at a time', async () => {
  const saves: { ids: string[]; done: PromiseWithResolvers<Set<string>> }[] = [];
  const saver = createProgressSaver((batch) => {
    const done = Promise.withResolvers<Set<string>>();
    saves.push({ ids: batch.endpoints.map(({ endpointId }) => endpointId), done });
    return done.promise;
  });
  const endpoint = (id: string, accountId: string, doneCount: number): Savable => ({
    id,
    accountId,
    collect: () => ({
      ...EMPTY,
      endpoints: [
        {
          endpointId: id,
          cursorEpoch: 0,
          leaseEpoch: 1,
          cursor: FEED_START,
          done: Array.from({ length: doneCount }, String),
          health: HEALTHY,
          disabledBy: undefined,
        },
      ],
    }),
    onSaved: () => undefined,
  });
  saver.mark(endpoint('much', 'busy', 1_000), true);
  saver.mark(endpoint('little', 'quiet', 1), true);
  await settle();
  expect(saves.map(({ ids }) => ids)).toEqual([['little'], ['much']]);
  saves[0]?.done.resolve(new Set());
  saver.mark(endpoint('more', 'busy', 1), true);
  saver.mark(endpoint('again', 'quiet', 1), true);
  await settle();
  expect(saves.map(({ ids }) => ids)).toEqual([['little'], ['much'], ['again']]);
  saves[1]?.done.resolve(new Set());
  saves[2]?.done.resolve(new Set());
  await settle();
  expect(saves.map(({ ids }) => ids)).toEqual([['little'], ['much'], ['again'], ['more']]);
});

test.each([0, 1, 2, 3, 4, 5])('what is marked %i turns behind a save is saved too', async (turns) => {
  let saveCount = 0;
  const saver = createProgressSaver(async () => {
    saveCount += 1;
    return new Set(ENDPOINTS);
  });
  const late: Savable = { id: 'b', accountId: 'b', collect: () => EMPTY, onSaved: () => undefined };
  const first: Savable = {
    id: 'a',
    accountId: 'a',
    collect: () => EMPTY,
    async onSaved() {
      for (let n = 0; n < turns; n += 1) await Promise.resolve();
      saver.mark(late, true);
    },
  };
  saver.mark(first, true);
  await settle();
  expect(saveCount).toBe(2);
});

test('saves that nothing waits for start at intervals, and at once behind a pause or for one that is waited for', async () => {
  vi.useFakeTimers();
  const startsMs: number[] = [];
  const saver = createProgressSaver(async () => {
    startsMs.push(performance.now());
    return new Set(ENDPOINTS);
  });
  const endpoint: Savable = { id: 'a', accountId: 'a', collect: () => EMPTY, onSaved: () => undefined };
  const passMs = async (ms: number, isWaitedFor: boolean) => {
    for (let n = 0; n < ms; n += 1) {
      saver.mark(endpoint, isWaitedFor);
      await vi.advanceTimersByTimeAsync(1);
    }
  };
  try {
    await vi.advanceTimersByTimeAsync(100);
    const beganMs = performance.now();
    await passMs(1, false);
    expect(startsMs).toEqual([beganMs]);
    await passMs(100, false);
    expect(startsMs.length).toBeGreaterThanOrEqual(5);
    expect(startsMs.length).toBeLessThanOrEqual(6);
    const before = startsMs.length;
    await passMs(10, true);
    expect(startsMs.length - before).toBeGreaterThanOrEqual(9);
  } finally {
    vi.useRealTimers();
  }
});

test('what is marked as nothing waits for it is saved all the same', async () => {
  vi.useFakeTimers();
  let saveCount = 0;
  const saver = createProgressSaver(async () => {
    saveCount += 1;
    return new Set(ENDPOINTS);
  });
  const endpoint: Savable = { id: 'a', accountId: 'a', collect: () => EMPTY, onSaved: () => undefined };
  try {
    saver.mark(endpoint, true);
    await vi.advanceTimersByTimeAsync(1);
    saver.mark(endpoint, false);
    await vi.advanceTimersByTimeAsync(30);
    expect(saveCount).toBe(2);
  } finally {
    vi.useRealTimers();
  }
});
