import { expect, test } from 'vitest';
import { silentLog } from '../../shared/runtime/log.ts';
import { createWorkPool } from '../../shared/runtime/work-pool.ts';
import { createActiveJobs } from './active-jobs.ts';

/** A control store that has jobs or has none. */
function setUp() {
  const store = { isAny: true };
  const db = { query: async () => ({ rows: [{ is_any: store.isAny }] }) };
  return { store, active: createActiveJobs(db as never) };
}

test('workers look for work often until it is known that there are no jobs, and again once there are', async () => {
  const { store, active } = setUp();
  expect(active.restMs(200)).toBe(200);
  store.isAny = false;
  expect(await active.look()).toBe(false);
  expect(active.restMs(200)).toBe(2_000);
  store.isAny = true;
  expect(await active.look()).toBe(true);
  expect(active.restMs(200)).toBe(200);
});

test('a worker that rests takes up the first job as soon as it is seen', async () => {
  const { store, active } = setUp();
  store.isAny = false;
  await active.look();
  const stop = new AbortController();
  const asked: boolean[] = [];
  const rests = Promise.withResolvers<void>();
  const done = Promise.withResolvers<void>();
  const pool = createWorkPool<string>({
    name: 'worker',
    maxUnits: 1,
    // Far longer than the test may take: only a notification ends the wait.
    idleMs: () => {
      rests.resolve();
      return active.restMs(200) * 1_000;
    },
    notifier: active.notifier(),
    log: silentLog,
    async claim() {
      asked.push(store.isAny);
      return store.isAny ? 'a chunk' : undefined;
    },
    async work() {
      done.resolve();
      stop.abort();
    },
  });
  const running = pool.run(stop.signal);
  await rests.promise;
  store.isAny = true;
  await active.look();
  await done.promise;
  await running;
  expect(asked.slice(0, 2)).toEqual([false, true]);
});
