import fc from 'fast-check';
import { expect, test } from 'vitest';
import { advanceProgress, type ProgressFacts, progressOf } from './progress.ts';

const running: ProgressFacts = {
  status: 'running',
  rowsEstimated: 1_000,
  rowsPlanned: 0,
  isPlanned: false,
  rowsExtracted: 0,
  rowsWritten: 0,
  readingSinceMs: 0,
};

test('the time left is unknown until there is a rate', () => {
  expect(progressOf(running, 60_000)).toEqual({ progress: 0, etaSeconds: null });
  expect(progressOf({ ...running, rowsExtracted: 500 }, 500).etaSeconds).toBeNull();
  expect(
    progressOf({ ...running, rowsExtracted: 500, readingSinceMs: undefined }, 60_000).etaSeconds,
  ).toBeNull();
});

test('the time left follows from the rate so far', () => {
  expect(progressOf({ ...running, rowsExtracted: 600, rowsWritten: 400 }, 10_000)).toEqual({
    progress: 0.5,
    etaSeconds: 10,
  });
});

test('the exact count replaces the estimate once all chunks are known', () => {
  const facts = { ...running, rowsPlanned: 200, isPlanned: true, rowsExtracted: 100, rowsWritten: 100 };
  expect(progressOf(facts, 10_000).progress).toBe(0.5);
  expect(progressOf({ ...facts, rowsEstimated: null }, 10_000).progress).toBe(0.5);
});

test('without an estimate nothing is claimed before the plan is complete', () => {
  const facts = { ...running, rowsEstimated: null, rowsPlanned: 100, rowsExtracted: 100, rowsWritten: 100 };
  expect(progressOf(facts, 10_000)).toEqual({ progress: 0, etaSeconds: null });
});

test('with more rows than estimated no more than half is claimed, and no time left, until all chunks are known', () => {
  const facts = { ...running, rowsPlanned: 2_000, rowsExtracted: 2_000, rowsWritten: 2_000 };
  expect(progressOf(facts, 10_000)).toEqual({ progress: 0.5, etaSeconds: null });
  expect(progressOf({ ...facts, rowsPlanned: 4_000, isPlanned: true }, 10_000)).toEqual({
    progress: 0.5,
    etaSeconds: 10,
  });
});

test('only a completed export is done', () => {
  expect(progressOf({ ...running, rowsExtracted: 9_000, rowsWritten: 9_000 }, 10_000).progress).toBe(0.99);
  expect(progressOf({ ...running, status: 'completed' }, 0)).toEqual({ progress: 1, etaSeconds: 0 });
  expect(progressOf({ ...running, status: 'failed', rowsExtracted: 500 }, 10_000).etaSeconds).toBeNull();
});

test('what is shown never goes backwards, and no time left is shown that is far from true', () => {
  const moment = fc.record({
    progress: fc.double({ min: 0, max: 0.99, noNaN: true }),
    etaSeconds: fc.option(fc.integer({ min: 0, max: 100_000 })),
  });
  fc.assert(
    fc.property(fc.array(moment, { maxLength: 30 }), (moments) => {
      let shown = { progress: 0, etaSeconds: null as number | null };
      for (const computed of moments) {
        const next = advanceProgress(shown, computed);
        expect(next.progress).toBeGreaterThanOrEqual(shown.progress);
        // Half a percent behind at most, unless it was further before.
        expect(next.progress).toBeGreaterThan(computed.progress - 0.0051);
        if (next.etaSeconds !== null) {
          if (shown.etaSeconds !== null) expect(next.etaSeconds).toBeLessThanOrEqual(shown.etaSeconds);
          expect(computed.etaSeconds).toBeLessThanOrEqual(next.etaSeconds * 1.5 + 10);
          expect(computed.progress).toBeGreaterThanOrEqual(0.1);
        }
        shown = { progress: next.progress, etaSeconds: next.etaSeconds ?? shown.etaSeconds };
      }
    }),
  );
});

test.each([
  [
    { progress: 0, etaSeconds: null },
    { progress: 0.05, etaSeconds: 100 },
    { progress: 0.05, etaSeconds: null },
  ],
  [
    { progress: 0, etaSeconds: null },
    { progress: 0.504, etaSeconds: 47 },
    { progress: 0.5, etaSeconds: 50 },
  ],
  [
    { progress: 0.5, etaSeconds: 50 },
    { progress: 0.507, etaSeconds: 61 },
    { progress: 0.505, etaSeconds: 50 },
  ],
  [
    { progress: 0.5, etaSeconds: 50 },
    { progress: 0.2, etaSeconds: 200 },
    { progress: 0.5, etaSeconds: null },
  ],
  [
    { progress: 0.5, etaSeconds: 50 },
    { progress: 0.99, etaSeconds: 7 },
    { progress: 0.99, etaSeconds: 7 },
  ],
])('after %o and at %o, %o is shown', (shown, computed, next) => {
  expect(advanceProgress(shown, computed)).toEqual(next);
});

test('with any facts progress is a share and the time left is null or not negative', () => {
  const facts = fc.record({
    status: fc.constantFrom(
      'pending',
      'running',
      'cancelling',
      'completed',
      'failed',
      'cancelled',
      'expired',
    ),
    rowsEstimated: fc.option(fc.nat()),
    rowsPlanned: fc.nat(),
    isPlanned: fc.boolean(),
    rowsExtracted: fc.nat(),
    rowsWritten: fc.nat(),
    readingSinceMs: fc.option(fc.integer(), { nil: undefined }),
  });
  fc.assert(
    fc.property(facts, fc.integer(), (given, nowMs) => {
      const { progress, etaSeconds } = progressOf(given, nowMs);
      expect(progress).toBeGreaterThanOrEqual(0);
      expect(progress).toBeLessThanOrEqual(1);
      if (etaSeconds !== null) expect(etaSeconds).toBeGreaterThanOrEqual(0);
      expect(etaSeconds).not.toBeNaN();
    }),
  );
});
