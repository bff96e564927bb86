import { expect, test } from 'vitest';
import { createFairReads } from './fair-reads.ts';

test('accounts take turns, whoever asked most, and never more than a few read at once', async () => {
  const reads = createFairReads(2);
  const order: string[] = [];
  let underWay = 0;
  let most = 0;
  const read = (account: string) =>
    reads.run(account, async () => {
      order.push(account);
      underWay += 1;
      most = Math.max(most, underWay);
      await new Promise((resolve) => setImmediate(resolve));
      underWay -= 1;
    });
  await Promise.all([...Array.from({ length: 20 }, () => read('busy')), read('quiet')]);
  expect(most).toBe(2);
  expect(order).toHaveLength(21);
  expect(order.indexOf('quiet')).toBeLessThanOrEqual(3);
});

test('a read that fails gives its place back', async () => {
  const reads = createFairReads(1);
  await expect(reads.run('a', () => Promise.reject(new Error('away')))).rejects.toThrow('away');
  expect(await reads.run('a', async () => 1)).toBe(1);
});

test('whoever waits for the same page of an account gets it from one read, but from none that has begun', async () => {
  const reads = createFairReads(1);
  let count = 0;
  const begun: (() => void)[] = [];
  const page = (key: string, account = 'a') =>
    reads.runShared(account, key, async () => {
      count += 1;
      await new Promise<void>((resolve) => begun.push(resolve));
      return `${account} ${key} ${count}`;
    });
  const first = [page('p'), page('p')];
  await new Promise((resolve) => setImmediate(resolve));
  const second = [page('p'), page('p'), page('q'), page('p', 'b')];
  while (count < 4 || begun.length > 0) {
    begun.shift()?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(await Promise.all(first)).toEqual(['a p 1', 'a p 1']);
  expect(await Promise.all(second)).toEqual([
    'a p 2',
    'a p 2',
    expect.stringMatching(/^a q/),
    expect.stringMatching(/^b p/),
  ]);
  expect(count).toBe(4);
});
