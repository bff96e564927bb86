import { expect, test } from 'vitest';
import { createHandlerConcurrency } from './handler-concurrency.ts';

test('a job has a quarter of the chunks, and an account fewer than it leaves free', () => {
  const handlers = createHandlerConcurrency(8);
  const take = (jobId: string, accountId: string) => handlers.take({ jobId, accountId });
  const first = take('a1', 'a');
  expect(handlers.barred()).toEqual({ accountIds: [], jobIds: [] });
  const second = take('a1', 'a');
  expect(handlers.barred()).toEqual({ accountIds: [], jobIds: ['a1'] });
  take('a2', 'a');
  take('a2', 'a');
  expect(handlers.barred()).toEqual({ accountIds: ['a'], jobIds: ['a1', 'a2'] });
  take('b1', 'b');
  take('b2', 'b');
  expect(handlers.barred()?.accountIds).toEqual(['a', 'b']);
  take('c1', 'c');
  expect(handlers.barred()?.accountIds).toEqual(['a', 'b', 'c']);
  first.release();
  second.release();
  expect(handlers.barred()).toEqual({ accountIds: [], jobIds: ['a2'] });
});

test('with one chunk at once everyone has its turn', () => {
  const handlers = createHandlerConcurrency(1);
  expect(handlers.barred()).toEqual({ accountIds: [], jobIds: [] });
  const slot = handlers.take({ jobId: 'a1', accountId: 'a' });
  expect(handlers.barred()).toBeUndefined();
  slot.release();
  expect(handlers.barred()).toEqual({ accountIds: [], jobIds: [] });
});

test('handlers that hang, of however many accounts, leave room for one that answers', () => {
  let nowMs = 0;
  const handlers = createHandlerConcurrency(4, () => nowMs);
  const takeAll = () => {
    let taken = 0;
    for (; handlers.barred() !== undefined; taken += 1)
      handlers.take({ jobId: `j${taken}`, accountId: `${nowMs} ${taken}` });
    return taken;
  };
  expect(takeAll()).toBe(4);
  for (let round = 0; round < 3; round += 1) {
    nowMs += 5_000;
    expect(takeAll()).toBe(4);
  }
  expect(handlers.maxSlots).toBe(16);
  // All hang by now, and there is a limit to what may wait.
  nowMs += 5_000;
  expect(takeAll()).toBe(0);
});

test('a chunk whose handler answers again counts as before', () => {
  let nowMs = 0;
  const handlers = createHandlerConcurrency(1, () => nowMs);
  const slot = handlers.take({ jobId: 'a1', accountId: 'a' });
  nowMs = 5_000;
  expect(handlers.barred()).toEqual({ accountIds: ['a'], jobIds: ['a1'] });
  slot.answered();
  expect(handlers.barred()).toBeUndefined();
});
