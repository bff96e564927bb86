import { expect, test } from 'vitest';
import { createHandlerShares } from './handler-shares.ts';

test('a job has a quarter of the chunks, and an account fewer than it leaves free', () => {
  const shares = createHandlerShares(8);
  const take = (jobId: string, accountId: string) => shares.take({ jobId, accountId });
  const first = take('a1', 'a');
  expect(shares.barred()).toEqual({ accountIds: [], jobIds: [] });
  const second = take('a1', 'a');
  expect(shares.barred()).toEqual({ accountIds: [], jobIds: ['a1'] });
  take('a2', 'a');
  take('a2', 'a');
  expect(shares.barred()).toEqual({ accountIds: ['a'], jobIds: ['a1', 'a2'] });
  take('b1', 'b');
  take('b2', 'b');
  expect(shares.barred()?.accountIds).toEqual(['a', 'b']);
  take('c1', 'c');
  expect(shares.barred()?.accountIds).toEqual(['a', 'b', 'c']);
  first.release();
  second.release();
  expect(shares.barred()).toEqual({ accountIds: [], jobIds: ['a2'] });
});

test('with one chunk at once everyone has its turn', () => {
  const shares = createHandlerShares(1);
  expect(shares.barred()).toEqual({ accountIds: [], jobIds: [] });
  const place = shares.take({ jobId: 'a1', accountId: 'a' });
  expect(shares.barred()).toBeUndefined();
  place.release();
  expect(shares.barred()).toEqual({ accountIds: [], jobIds: [] });
});

test('handlers that hang, of however many accounts, leave room for one that answers', () => {
  let nowMs = 0;
  const shares = createHandlerShares(4, () => nowMs);
  const takeAll = () => {
    let taken = 0;
    for (; shares.barred() !== undefined; taken += 1)
      shares.take({ jobId: `j${taken}`, accountId: `${nowMs} ${taken}` });
    return taken;
  };
  expect(takeAll()).toBe(4);
  for (let round = 0; round < 3; round += 1) {
    nowMs += 5_000;
    expect(takeAll()).toBe(4);
  }
  expect(shares.maxPlaces).toBe(16);
  // All hang by now, and there is a limit to what may wait.
  nowMs += 5_000;
  expect(takeAll()).toBe(0);
});

test('a chunk whose handler answers again counts as before', () => {
  let nowMs = 0;
  const shares = createHandlerShares(1, () => nowMs);
  const place = shares.take({ jobId: 'a1', accountId: 'a' });
  nowMs = 5_000;
  expect(shares.barred()).toEqual({ accountIds: ['a'], jobIds: ['a1'] });
  place.answered();
  expect(shares.barred()).toBeUndefined();
});
