import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createPacer } from './pacer.ts';

const PER_SECOND = 100;
/** Ten turns may be taken early, beside the one that is due. */
const BURST = 11;

test('in no stretch of time do more requests of an account begin than the burst and its rate allow', () => {
  const arrivals = fc.array(
    fc.record({ afterMs: fc.integer({ min: 0, max: 40 }), account: fc.constantFrom('a', 'b') }),
    {
      maxLength: 200,
    },
  );
  fc.assert(
    fc.property(arrivals, (requests) => {
      const pace = createPacer(PER_SECOND);
      const begun: Record<string, number[]> = { a: [], b: [] };
      let nowMs = 1_000;
      for (const { afterMs, account } of requests) {
        nowMs += afterMs;
        begun[account]?.push(nowMs + pace(account, nowMs));
      }
      for (const times of Object.values(begun)) {
        times.forEach((from, first) => {
          times.slice(first).forEach((to, count) => {
            expect(count + 1).toBeLessThanOrEqual(BURST + ((to - from) * PER_SECOND) / 1_000 + 1e-6);
          });
        });
      }
    }),
  );
});

test('a request waits only while its account is ahead of its rate, whatever other accounts send', () => {
  const pace = createPacer(PER_SECOND);
  const waitsMs = Array.from({ length: 31 }, () => pace('loud', 0));
  expect(waitsMs.filter((ms) => ms === 0)).toHaveLength(BURST);
  expect(waitsMs.at(-1)).toBe(200);
  expect(pace('quiet', 0)).toBe(0);
  expect(pace('loud', 310)).toBe(0);
});

test('accounts that are idle are forgotten, and those that are ahead are not', () => {
  const pace = createPacer(PER_SECOND);
  for (let count = 0; count < 31; count += 1) pace('loud', 0);
  for (let other = 0; other < 10_500; other += 1) pace(`${other}`, 150);
  expect(pace('loud', 150)).toBe(60);
});

test('a wait beyond half of the limit is drawn between the half and the turn, and never exceeds the limit', () => {
  const waitsAt = (share: number) => {
    const pace = createPacer(PER_SECOND, 1_000, () => share);
    return Array.from({ length: 200 }, () => pace('loud', 0)).slice(BURST - 1);
  };
  const [latest, earliest] = [waitsAt(0), waitsAt(1)];
  expect(latest.slice(0, 101)).toEqual(Array.from({ length: 101 }, (_, n) => 10 * n));
  expect(latest.slice(101).every((ms) => ms === 1_000)).toBe(true);
  expect(earliest).toEqual(latest.map((ms) => Math.min(ms, 500)));
});
