import { expect, test } from 'vitest';
import { UploadSlots } from './multipart-upload.ts';

test('no more run at once than there are slots, and those who wait come in their order', async () => {
  const slots = new UploadSlots(2);
  const order: number[] = [];
  let running = 0;
  let most = 0;
  await Promise.all(
    [1, 2, 3, 4, 5].map(async (number) => {
      const giveBack = await slots.take();
      order.push(number);
      running += 1;
      most = Math.max(most, running);
      await Promise.resolve();
      running -= 1;
      giveBack();
    }),
  );
  expect(order).toEqual([1, 2, 3, 4, 5]);
  expect(most).toBe(2);
});
