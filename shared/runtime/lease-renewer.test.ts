import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { LeaseLostError, type Renewal, renewLease } from './lease-renewer.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const held = async (): Promise<Renewal> => 'held';
const away = (): Promise<Renewal> => Promise.reject(new Error('the store is away'));

test('a lease is renewed every second for as long as it is wanted', async () => {
  let count = 0;
  const lease = renewLease({
    leaseSeconds: 10,
    renew: async () => {
      count += 1;
      return 'held';
    },
  });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(count).toBe(60);
  expect(lease.isHeld()).toBe(true);
  expect(lease.signal.aborted).toBe(false);
  await lease[Symbol.asyncDispose]();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(count).toBe(60);
});

test('work that is called off begins nothing new, and keeps its lease', async () => {
  const lease = renewLease({ leaseSeconds: 10, renew: async () => 'called_off' });
  await vi.advanceTimersByTimeAsync(30_000);
  expect(lease.signal.aborted).toBe(true);
  expect(lease.lost.aborted).toBe(false);
  expect(lease.isHeld()).toBe(true);
  await lease[Symbol.asyncDispose]();
});

test('the reason of a lost lease is the failure of its last renewals, not one that was made good', async () => {
  let renew = away;
  const lease = renewLease({ leaseSeconds: 10, renew: () => renew() });
  await vi.advanceTimersByTimeAsync(1_000);
  renew = held;
  await vi.advanceTimersByTimeAsync(1_000);
  renew = () => new Promise<Renewal>(() => undefined);
  await vi.advanceTimersByTimeAsync(9_000);
  expect(lease.lost.reason).toBeInstanceOf(LeaseLostError);
  expect(lease.lost.reason.cause).toBeUndefined();
  await lease[Symbol.asyncDispose]();
});

test('a lease that is over ends the work, with the reason that the renewal gave', async () => {
  const reason = new Error('cancelled');
  const lease = renewLease({ leaseSeconds: 10, renew: async () => reason });
  lease.renewNow();
  await vi.advanceTimersByTimeAsync(0);
  expect(lease.lost.reason).toBe(reason);
  expect(lease.isHeld()).toBe(false);
  await lease[Symbol.asyncDispose]();
});

test.each([
  ['fails', away],
  ['never answers', () => new Promise<Renewal>(() => undefined)],
])('work ends before another worker may begin when the store %s', async (_how, renew) => {
  let isUp = true;
  const lease = renewLease({ leaseSeconds: 10, renew: () => (isUp ? held() : renew()) });
  await vi.advanceTimersByTimeAsync(5_000);
  isUp = false;
  await vi.advanceTimersByTimeAsync(8_900);
  expect(lease.lost.aborted).toBe(false);
  await vi.advanceTimersByTimeAsync(100);
  expect(lease.lost.reason).toBeInstanceOf(LeaseLostError);
  expect(lease.isHeld()).toBe(false);
  await lease[Symbol.asyncDispose]();
});

test('a store that is away for less than the lease costs nothing', async () => {
  let isUp = false;
  const missed: unknown[] = [];
  const lease = renewLease({
    leaseSeconds: 10,
    renew: () => (isUp ? held() : away()),
    onMissed: (error) => missed.push(error),
  });
  await vi.advanceTimersByTimeAsync(7_000);
  isUp = true;
  await vi.advanceTimersByTimeAsync(20_000);
  expect(missed).toHaveLength(7);
  expect(lease.isHeld()).toBe(true);
  await lease[Symbol.asyncDispose]();
});

test('the process’s own stop ends the work too', async () => {
  const stop = new AbortController();
  const lease = renewLease({ leaseSeconds: 10, renew: held, stopping: stop.signal });
  stop.abort();
  expect(lease.signal.aborted).toBe(true);
  expect(lease.lost.aborted).toBe(true);
  await lease[Symbol.asyncDispose]();
});

test('the end waits for a renewal that is under way, and not for one that never answers', async () => {
  const answered = Promise.withResolvers<Renewal>();
  const answering = renewLease({ leaseSeconds: 10, renew: () => answered.promise });
  await vi.advanceTimersByTimeAsync(1_000);
  let hasEnded = false;
  const ending = answering[Symbol.asyncDispose]().then(() => {
    hasEnded = true;
  });
  await vi.advanceTimersByTimeAsync(1_000);
  expect(hasEnded).toBe(false);
  answered.resolve('held');
  await ending;

  const silent = renewLease({ leaseSeconds: 10, renew: () => new Promise<Renewal>(() => undefined) });
  await vi.advanceTimersByTimeAsync(1_000);
  const given = silent[Symbol.asyncDispose]();
  await vi.advanceTimersByTimeAsync(9_000);
  await given;
});
