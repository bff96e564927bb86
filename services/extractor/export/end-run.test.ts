import fc from 'fast-check';
import { expect, test } from 'vitest';
import { followAttempt } from '../chunk/read-chunks.ts';
import type { FailureAction, Interruption } from '../extraction-errors.ts';
import { followRun } from './end-run.ts';

const NONE = { failedRuns: 0, setbackRuns: 0, gaveWayRuns: 0 };
const LOCKED = { kind: 'fail', code: 'table_locked', message: 'locked' } as const;
const GIVE_WAY: FailureAction = { kind: 'give-way', failure: LOCKED };
const retry = (after: Interruption): FailureAction => ({ kind: 'retry', after });

test('an outage never fails an export or a chunk, however they have ended before', () => {
  const count = fc.nat({ max: 1_000 });
  fc.assert(
    fc.property(count, count, count, (failedRuns, setbackRuns, gaveWayRuns) => {
      const follows = followRun(retry('outage'), { failedRuns, setbackRuns, gaveWayRuns }, 0);
      expect(follows).toMatchObject({ ending: 'outage' });
      const chunk = { held: undefined, setbackCount: setbackRuns, gaveWayCount: gaveWayRuns };
      expect(followAttempt(retry('outage'), chunk, 0)).toMatchObject({ ending: 'outage' });
    }),
  );
});

test('one kind of end uses up no patience with another', () => {
  const many = { failedRuns: 100, setbackRuns: 0, gaveWayRuns: 0 };
  expect(followRun(GIVE_WAY, many, 0)).toEqual({ delayMs: 2_000, ending: 'gave_way' });
  expect(followRun(retry('setback'), { ...many, gaveWayRuns: 100 }, 0)).toMatchObject({ ending: 'setback' });
});

test('an export whose runs the source ends again and again fails, and so does a chunk', () => {
  const failed = { kind: 'fail', code: 'attempts_exhausted' };
  expect(followRun(retry('setback'), { ...NONE, setbackRuns: 8 }, 0)).toMatchObject({ ending: 'setback' });
  expect(followRun(retry('setback'), { ...NONE, setbackRuns: 9 }, 0)).toMatchObject(failed);
  const chunk = { held: undefined, setbackCount: 9, gaveWayCount: 0 };
  expect(followAttempt(retry('setback'), { ...chunk, setbackCount: 8 }, 0)).toMatchObject({
    ending: 'setback',
  });
  expect(followAttempt(retry('setback'), chunk, 0)).toMatchObject(failed);
});

test('the waits grow to two minutes, so a server that restarts is outlasted and one that crashes is spared', () => {
  const delays = Array.from({ length: 6 }, (_, failedRuns) => {
    const follows = followRun(retry('outage'), { ...NONE, failedRuns }, 0);
    return 'ending' in follows ? follows.delayMs : undefined;
  });
  expect(delays).toEqual([2_000, 8_000, 32_000, 128_000, 128_000, 128_000]);
});

test('who holds up others while it waits for a table gives up at the third time, and nobody else does', () => {
  expect(followRun(GIVE_WAY, { ...NONE, gaveWayRuns: 1 }, 0)).toMatchObject({ ending: 'gave_way' });
  expect(followRun(GIVE_WAY, { ...NONE, gaveWayRuns: 2 }, 0)).toBe(LOCKED);
  const dayMs = 24 * 3_600_000;
  expect(followRun(GIVE_WAY, { ...NONE, gaveWayRuns: 2 }, dayMs)).toEqual({
    delayMs: 32_000,
    ending: 'gave_way',
  });
  expect(followRun(GIVE_WAY, { ...NONE, gaveWayRuns: 1_000 }, dayMs)).toBe(LOCKED);
});

test('what stops in good order goes on at once, and a failure ends the export', () => {
  expect(followRun({ kind: 'let-go' }, NONE, 0)).toEqual({ delayMs: 0, ending: 'let_go' });
  expect(followRun({ kind: 'abandon' }, NONE, 0)).toEqual({ delayMs: 0, ending: 'unexplained' });
  expect(followRun(LOCKED, NONE, 0)).toBe(LOCKED);
});
