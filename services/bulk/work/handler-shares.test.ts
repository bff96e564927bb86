import { expect, test } from 'vitest';
import { createHandlerShares } from './handler-shares.ts';

test('a job has a quarter of the chunks, and an account fewer than it leaves free', () => {
  const shares = createHandlerShares(8);
  const take = (jobId: string, accountId: string) => shares.take({ jobId, accountId });
  take('a1', 'a');
  expect(shares.barred()).toEqual({ accountIds: [], jobIds: [] });
  take('a1', 'a');
  expect(shares.barred()).toEqual({ accountIds: [], jobIds: ['a1'] });
  take('a2', 'a');
  take('a2', 'a');
  expect(shares.barred()).toEqual({ accountIds: ['a'], jobIds: ['a1', 'a2'] });
  take('b1', 'b');
  take('b2', 'b');
  expect(shares.barred().accountIds).toEqual(['a', 'b']);
  take('c1', 'c');
  expect(shares.barred().accountIds).toEqual(['a', 'b', 'c']);
  shares.release({ jobId: 'a1', accountId: 'a' });
  shares.release({ jobId: 'a1', accountId: 'a' });
  expect(shares.barred()).toEqual({ accountIds: [], jobIds: ['a2'] });
});

test('with one chunk at once everyone has its turn', () => {
  const shares = createHandlerShares(1);
  expect(shares.barred()).toEqual({ accountIds: [], jobIds: [] });
  shares.take({ jobId: 'a1', accountId: 'a' });
  expect(shares.barred()).toEqual({ accountIds: ['a'], jobIds: ['a1'] });
});
