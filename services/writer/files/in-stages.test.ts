import { expect, test } from 'vitest';
import { inStages } from './in-stages.ts';

const LARGE = 2 ** 21;

test('small works go side by side and large ones alone, with results in order', async () => {
  let running = 0;
  const seen: { bytes: number; beside: number }[] = [];
  const works = [
    { bytes: LARGE },
    ...Array.from({ length: 30 }, (_, bytes) => ({ bytes })),
    { bytes: LARGE + 1 },
  ];
  const results = await inStages(works, async ({ bytes }) => {
    running += 1;
    await new Promise(setImmediate);
    seen.push({ bytes, beside: running });
    running -= 1;
    return bytes;
  });
  expect(results).toEqual(works.map(({ bytes }) => bytes));
  expect(Math.max(...seen.map(({ beside }) => beside))).toBe(12);
  expect(seen.filter(({ bytes }) => bytes >= LARGE).map(({ beside }) => beside)).toEqual([1, 1]);
});

test('a failure is thrown once nothing is under way, and nothing more is begun', async () => {
  let running = 0;
  let begun = 0;
  const works = Array.from({ length: 40 }, (_, bytes) => ({ bytes }));
  const failing = inStages(works, async ({ bytes }) => {
    begun += 1;
    running += 1;
    await new Promise(setImmediate);
    running -= 1;
    if (bytes === 0) throw new Error('storage is full');
  });
  await expect(failing).rejects.toThrow('storage is full');
  expect(running).toBe(0);
  expect(begun).toBeLessThan(30);
});
