import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createLateness, waitLate } from './late-refusal.ts';

const REFUSAL_MS = 250;
const LONGEST_MS = 5_000 + 1.5 * REFUSAL_MS;

const latenessAt = (share: number, now: () => number = () => 0) =>
  createLateness(REFUSAL_MS, { now, random: () => share });

test('a refusal is late by half the delay at least, and the more of a key there are in a second, the later', () => {
  const next = latenessAt(0);
  const first = Array.from({ length: 11 }, () => next('k'));
  expect(first).toEqual(Array(11).fill(REFUSAL_MS / 2));
  const further = Array.from({ length: 100 }, () => next('k'));
  expect(further.at(-1)).toBe(1_000 + REFUSAL_MS / 2);
  expect(next('another')).toBeLessThan(500);
});

test('many keys, and clients without one, are refused no faster together', () => {
  const next = latenessAt(0.5);
  for (let n = 0; n < 500; n += 1) next(`k${n}`);
  for (let n = 0; n < 500; n += 1) next();
  expect(next()).toBeGreaterThan(1_900);
});

test('no refusal is late beyond measure, whatever came before it, and a key that has paused is refused soon', () => {
  const counts = fc.array(
    fc.record({ afterMs: fc.integer({ min: 0, max: 50 }), key: fc.constantFrom('a', 'b') }),
    {
      maxLength: 2_000,
      minLength: 1_000,
    },
  );
  fc.assert(
    fc.property(counts, fc.double({ min: 0, max: 1, noNaN: true }), (refusals, share) => {
      let nowMs = 0;
      const next = latenessAt(share, () => nowMs);
      for (const { afterMs, key } of refusals) {
        nowMs += afterMs;
        expect(next(key)).toBeLessThanOrEqual(LONGEST_MS);
      }
      nowMs += LONGEST_MS;
      expect(next('a')).toBe(REFUSAL_MS * (0.5 + share));
    }),
    { numRuns: 20 },
  );
});

test('a crowd that comes together is refused evenly', () => {
  const random = seeded();
  let nowMs = 0;
  const next = createLateness(REFUSAL_MS, { now: () => nowMs, random });
  const CLIENTS = 4_000;
  const REST_MS = 1_000;
  const [FROM_MS, TO_MS, SLICE_MS] = [60_000, 120_000, 250];
  /** How many clients ask in each millisecond. */
  const asks = new Map([[1, CLIENTS]]);
  const slices = Array.from({ length: (TO_MS - FROM_MS) / SLICE_MS }, () => 0);
  for (nowMs = 1; nowMs < TO_MS; nowMs += 1) {
    for (let count = asks.get(nowMs) ?? 0; count > 0; count -= 1) {
      const refusedMs = Math.ceil(nowMs + next('k'));
      asks.set(refusedMs + REST_MS, (asks.get(refusedMs + REST_MS) ?? 0) + 1);
      const slice = Math.floor((refusedMs - FROM_MS) / SLICE_MS);
      if (slice >= 0 && slice < slices.length) slices[slice] = (slices[slice] ?? 0) + 1;
    }
    asks.delete(nowMs);
  }
  const mean = slices.reduce((sum, count) => sum + count, 0) / slices.length;
  expect(mean).toBeGreaterThan(100);
  expect(Math.max(...slices)).toBeLessThan(2 * mean);
});

/** The same numbers from 0 to 1 in each run. */
function seeded(): () => number {
  let state = 1;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

test('without a delay nothing waits', () => {
  const next = createLateness(0);
  expect(Array.from({ length: 2_000 }, () => next('k')).every((ms) => ms === 0)).toBe(true);
});

test('a refusal waits no longer once its client has left', async () => {
  const response = new ServerResponse(new IncomingMessage(new Socket()));
  const left = new Promise<void>((resolve) => waitLate(response, 3_600_000, resolve));
  response.destroy();
  await left;
  await new Promise<void>((resolve) => waitLate(response, 3_600_000, resolve));
});
