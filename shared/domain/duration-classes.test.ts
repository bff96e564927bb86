import fc from 'fast-check';
import { expect, test } from 'vitest';
import { addClasses, DURATION_CLASSES, durationClass, estimatePercentile } from './duration-classes.ts';

const countsOf = (durations: readonly number[]) =>
  addClasses(
    durations.map((ms) =>
      Array.from({ length: DURATION_CLASSES }, (_, n) => (n === durationClass(ms) ? 1 : 0)),
    ),
  );

test('a percentile is at most a fifth off', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 60_000 }), { minLength: 1, maxLength: 200 }),
      fc.constantFrom(0.5, 0.95),
      (durations, share) => {
        const exact = durations.toSorted((a, b) => a - b)[Math.ceil(share * durations.length) - 1] ?? 0;
        const estimate = estimatePercentile(countsOf(durations), share) ?? 0;
        expect(estimate).toBeGreaterThanOrEqual(Math.floor(exact / 1.2));
        expect(estimate).toBeLessThanOrEqual(Math.ceil(exact * 1.2));
      },
    ),
  );
});

test('nothing has no percentile, and every duration has a class', () => {
  expect(estimatePercentile([], 0.5)).toBeUndefined();
  expect([0, 1, 2, 60_000, 1e9].map(durationClass)).toEqual([0, 0, 4, 61, DURATION_CLASSES - 1]);
});
