import { expect, test } from 'vitest';
import { createLimit } from './registry.ts';

test('no more run at once than allowed, in order, also after failures', async () => {
  const limit = createLimit(2);
  const begun: number[] = [];
  let running = 0;
  let most = 0;
  const outcomes = await Promise.allSettled(
    [0, 1, 2, 3, 4, 5].map((index) =>
      limit(async () => {
        begun.push(index);
        running += 1;
        most = Math.max(most, running);
        await new Promise(setImmediate);
        running -= 1;
        if (index % 2 === 0) throw new Error('failed');
        return index;
      }),
    ),
  );
  expect(begun).toEqual([0, 1, 2, 3, 4, 5]);
  expect(most).toBe(2);
  expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(3);
});
