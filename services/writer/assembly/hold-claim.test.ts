import { expect, test, vi } from 'vitest';
import { ClaimLostError, holdClaim } from './hold-claim.ts';

const never = new AbortController().signal;

function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason));
  });
}

test('work goes on while renewals succeed, and its result is returned', async () => {
  vi.useFakeTimers();
  const finish = Promise.withResolvers<string>();
  let renewalCount = 0;
  const held = holdClaim(
    async () => {
      renewalCount += 1;
      return true;
    },
    never,
    () => finish.promise,
  );
  await vi.advanceTimersByTimeAsync(60_000);
  finish.resolve('done');
  expect(await held).toBe('done');
  expect(renewalCount).toBe(60);
  vi.useRealTimers();
});

test('work is aborted when a renewal says that the claim is over', async () => {
  vi.useFakeTimers();
  const held = holdClaim(async () => false, never, untilAborted);
  const outcome = expect(held).rejects.toThrow(ClaimLostError);
  await vi.advanceTimersByTimeAsync(1_000);
  await outcome;
  vi.useRealTimers();
});

test('work is aborted before the claim can have become another writer’s', async () => {
  vi.useFakeTimers();
  let abortedAfterMs = 0;
  const startedAtMs = performance.now();
  const held = holdClaim(
    () => Promise.reject(new Error('unreachable')),
    never,
    async (signal) => {
      await untilAborted(signal).catch(() => undefined);
      abortedAfterMs = performance.now() - startedAtMs;
      throw signal.reason;
    },
  );
  const outcome = expect(held).rejects.toThrow(ClaimLostError);
  await vi.advanceTimersByTimeAsync(20_000);
  await outcome;
  expect(abortedAfterMs).toBeGreaterThan(8_000);
  expect(abortedAfterMs).toBeLessThanOrEqual(10_000);
  vi.useRealTimers();
});
