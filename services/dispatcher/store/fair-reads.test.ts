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
