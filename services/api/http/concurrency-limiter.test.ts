import { expect, test } from 'vitest';
import { AppError } from '../../../shared/runtime/errors.ts';
import { type ConcurrencyLimits, createConcurrencyLimiter } from './concurrency-limiter.ts';

const createLimiter = (limits: ConcurrencyLimits) =>
  createConcurrencyLimiter(
    limits,
    (isOwn) => new AppError('too_many', isOwn ? 'limit of the account' : 'limit of all'),
  );

test('work is limited for each account and for all accounts', async () => {
  const limiter = createLimiter({ max: 3, perAccount: 2 });
  const release = await limiter.acquire('a');
  await limiter.acquire('a');
  await expect(limiter.acquire('a')).rejects.toThrow('limit of the account');
  await limiter.acquire('b');
  await expect(limiter.acquire('c')).rejects.toThrow('limit of all');
  release();
  release();
  await limiter.acquire('c');
  await expect(limiter.acquire('b')).rejects.toThrow('limit of all');
});

test('without a limit for all accounts each account has its own', async () => {
  const limiter = createLimiter({ perAccount: 1 });
  for (let account = 0; account < 100; account += 1) await limiter.acquire(`account ${account}`);
  await expect(limiter.acquire('account 0')).rejects.toThrow('limit of the account');
});

test('waiting work is served in its order, as far as its account may run more', async () => {
  const limiter = createLimiter({ max: 2, perAccount: 1, waitMs: 60_000 });
  const [releaseA, releaseB] = [await limiter.acquire('a'), await limiter.acquire('b')];
  const served: string[] = [];
  const wait = async (accountId: string, name: string) => {
    const release = await limiter.acquire(accountId);
    served.push(name);
    return release;
  };
  const waiting = [wait('a', 'a2'), wait('c', 'c1'), wait('d', 'd1')];
  releaseB();
  const releaseC = await waiting[1];
  expect(served).toEqual(['c1']);
  releaseA();
  await waiting[0];
  expect(served).toEqual(['c1', 'a2']);
  releaseC?.();
  await waiting[2];
  expect(served).toEqual(['c1', 'a2', 'd1']);
});

test('work that waited too long is refused, and holds nothing', async () => {
  const limiter = createLimiter({ max: 2, perAccount: 1, waitMs: 1 });
  const release = await limiter.acquire('a');
  await expect(limiter.acquire('a')).rejects.toThrow('limit of the account');
  await limiter.acquire('b');
  await expect(limiter.acquire('c')).rejects.toThrow('limit of all');
  release();
  await limiter.acquire('c');
});
