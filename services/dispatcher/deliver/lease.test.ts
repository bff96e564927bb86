import { expect, test } from 'vitest';
import { createLease } from './lease.ts';

const setUp = () => {
  const state = { nowMs: 1_000, renewals: 0, removals: 0 };
  const lease = createLease({
    renew: async () => {
      state.renewals += 1;
      state.nowMs += 100;
    },
    remove: async () => {
      state.removals += 1;
    },
    monotonicMs: () => state.nowMs,
  });
  return { state, lease };
};

test('a lease is not valid before it is renewed, and not to its very end', async () => {
  const { state, lease } = setUp();
  expect(lease.isValid()).toBe(false);
  expect(await lease.renew()).toBe(true);
  expect(lease.isValid()).toBe(true);
  state.nowMs = 1_000 + 7_999;
  expect(lease.isValid()).toBe(true);
  state.nowMs = 1_000 + 8_000;
  expect(lease.isValid()).toBe(false);
});

test('it is renewed no more often than needed, and tells when it was too late', async () => {
  const { state, lease } = setUp();
  await lease.renew();
  expect(await lease.renew()).toBe(false);
  expect(state.renewals).toBe(1);
  state.nowMs += 2_000;
  expect(await lease.renew()).toBe(false);
  expect(state.renewals).toBe(2);
  state.nowMs += 20_000;
  expect(await lease.renew()).toBe(true);
});

test('once it is given up nothing may start', async () => {
  const { state, lease } = setUp();
  await lease.renew();
  await lease.end();
  expect(lease.isValid()).toBe(false);
  expect(state.removals).toBe(1);
});
