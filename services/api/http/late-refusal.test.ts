import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createLateness, waitLate } from './late-refusal.ts';

const REFUSAL_MS = 250;
const LONGEST_MS = 5_000 + 1.5 * REFUSAL_MS;
const MINUTE_MS = 60_000;
const SLICE_MS = 250;

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

/** The most refusals in a slice, in means. By chance alone it is 1.2 to 1.45 in these crowds. */
const FULLEST = 1.6;

/** Connections of a crowd, how long each rests after a refusal, and their key. */
const CROWDS: readonly [clients: number, restMs: number, key: string | undefined][] = [
  [4_000, 1_000, 'k'],
  [4_000, 1_000, undefined],
  [4_000, 0, 'k'],
  [3_000, 1_000, 'k'],
  [4_000, 3_000, undefined],
  [1_000, 1_000, 'k'],
];

test.each(CROWDS)(
  '%d clients that begin together and return %d ms after each refusal (key: %s) scatter within a minute',
  (clients, restMs, key) => {
    let nowMs = 0;
    const next = createLateness(REFUSAL_MS, { now: () => nowMs, random: seeded() });
    const requests = new Map([[0, clients]]);
    const refusals = new Map<number, number>();
    const count = (counts: Map<number, number>, at: number) => counts.set(at, (counts.get(at) ?? 0) + 1);
    for (; nowMs < 2 * MINUTE_MS; nowMs += 1) {
      for (let left = requests.get(nowMs) ?? 0; left > 0; left -= 1) {
        const endMs = nowMs + Math.ceil(next(key));
        if (endMs >= MINUTE_MS && endMs < 2 * MINUTE_MS) count(refusals, Math.floor(endMs / SLICE_MS));
        count(requests, endMs + restMs);
      }
      requests.delete(nowMs);
    }
    const counts = [...refusals.values()];
    const mean = counts.reduce((sum, each) => sum + each) / (MINUTE_MS / SLICE_MS);
    // The crowd scatters at the rates of refusals, and not because it is refused more slowly.
    expect(mean * (1_000 / SLICE_MS)).toBeGreaterThan(key === undefined ? 450 : 90);
    expect(Math.max(...counts)).toBeLessThan(FULLEST * mean);
  },
);

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
