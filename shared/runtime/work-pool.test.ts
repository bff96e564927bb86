import { expect, test } from 'vitest';
import { silentLog } from './log.ts';
import { createNotifier } from './notifier.ts';
import { createWorkPool } from './work-pool.ts';

function setUp(units: number[], maxUnits: number) {
  const notifier = createNotifier();
  const finish = new Map<number, () => void>();
  const started: number[] = [];
  const stop = new AbortController();
  const waiting = [...units];
  const worker = createWorkPool<number>({
    name: 'test',
    maxUnits,
    idleMs: 60_000,
    notifier,
    log: silentLog,
    claim: async () => waiting.shift(),
    work: (unit) => {
      started.push(unit);
      return new Promise((resolve) => finish.set(unit, resolve));
    },
  });
  const running = worker.run(stop.signal);
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  return { running, started, stop, finish, settle };
}

test('no more units are claimed at once than allowed, and the next when one is done', async () => {
  const { running, started, stop, finish, settle } = setUp([1, 2, 3], 2);
  await settle();
  expect(started).toEqual([1, 2]);
  finish.get(1)?.();
  await settle();
  expect(started).toEqual([1, 2, 3]);
  stop.abort();
  for (const done of finish.values()) done();
  await running;
});

test('after the abort the units in hand are waited for', async () => {
  const { running, stop, finish, settle } = setUp([1, 2], 1);
  await settle();
  let isOver = false;
  running.then(() => {
    isOver = true;
  });
  stop.abort();
  await settle();
  expect(isOver).toBe(false);
  finish.get(1)?.();
  await running;
  expect([...finish.keys()]).toEqual([1]);
});

test('a bug in a unit ends the worker', async () => {
  const worker = createWorkPool<number>({
    name: 'test',
    maxUnits: 1,
    idleMs: 60_000,
    notifier: createNotifier(),
    log: silentLog,
    claim: async () => 1,
    work: async () => {
      throw new Error('a bug');
    },
  });
  await expect(worker.run(new AbortController().signal)).rejects.toThrow('a bug');
});
