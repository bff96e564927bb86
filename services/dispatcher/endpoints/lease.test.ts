import { expect, onTestFinished, test } from 'vitest';
import { silentLog } from '../../../shared/runtime/log.ts';
import { waitFor } from '../../../test/support/wait-for.ts';
import { createEndpointLeases, type LeaseStore } from '../deliver/endpoint-leases.ts';
import { createLease } from './lease.ts';

/** A lease whose clock is the test's. */
const setUp = () => {
  const state = { nowMs: 1_000, renewals: 0, removals: 0, lapses: 0, renew: async () => {} };
  const lease = createLease({
    renew: async () => {
      state.renewals += 1;
      await state.renew();
    },
    remove: async () => {
      state.removals += 1;
    },
    monotonicMs: () => state.nowMs,
    log: silentLog,
  });
  const stop = new AbortController();
  onTestFinished(() => stop.abort());
  const keep = () =>
    lease.keep(() => {
      state.lapses += 1;
    }, stop.signal);
  return { state, lease, keep, stop };
};

test('a lease is not valid before it is renewed, and not to its very end', async () => {
  const { state, lease, keep } = setUp();
  expect(lease.isValid()).toBe(false);
  void keep();
  await waitFor('it to be valid', () => state.lapses === 1);
  expect(lease.isValid()).toBe(true);
  state.nowMs = 1_000 + 7_999;
  expect(lease.isValid()).toBe(true);
  state.nowMs = 1_000 + 8_000;
  expect(lease.isValid()).toBe(false);
});

test('a renewal that comes too late tells so, and one that fails is tried again', async () => {
  const { state, lease, keep } = setUp();
  void keep();
  await waitFor('the first', () => state.lapses === 1);
  state.renew = async () => {
    state.nowMs += 8_000;
    throw new Error('the connection was lost');
  };
  await waitFor('one that fails', () => state.renewals === 2);
  expect(lease.isValid()).toBe(false);
  state.renew = async () => {};
  await waitFor('it to be valid again', () => state.lapses === 2);
  expect(lease.isValid()).toBe(true);
});

test('it is renewed while the look at the endpoints gets no answer', async () => {
  const { state, lease } = setUp();
  let isAsked = false;
  const store = {
    heldIds: () => {
      isAsked = true;
      return new Promise(() => {});
    },
  } as unknown as LeaseStore;
  const leases = createEndpointLeases(
    lease,
    store,
    () => {
      throw new Error('there is nothing to run');
    },
    () => true,
    silentLog,
  );
  void leases.run(new AbortController().signal);
  await waitFor('the look', () => isAsked);
  await waitFor('the next renewal', () => state.renewals > 1);
});

test('after a lapse nothing is sent before it is known what others took meanwhile', async () => {
  const { state, lease } = setUp();
  const looks: PromiseWithResolvers<ReadonlySet<string>>[] = [];
  const store: LeaseStore = {
    fairShare: async () => 0,
    claim: async () => [],
    changed: async () => [],
    noteApplied: async () => undefined,
    heldIds: () => {
      const look = Promise.withResolvers<ReadonlySet<string>>();
      looks.push(look);
      return look.promise;
    },
    release: async () => undefined,
    leave: async () => undefined,
    retries: async () => new Map(),
  };
  const createRunner = () => {
    throw new Error('there is nothing to run');
  };
  const stop = new AbortController();
  onTestFinished(() => stop.abort());
  const leases = createEndpointLeases(lease, store, createRunner, () => true, silentLog);
  void leases.run(stop.signal);
  await waitFor('the first look', () => looks.length === 1);
  expect(lease.isValid()).toBe(true);
  expect(leases.maySend()).toBe(false);
  looks[0]?.resolve(new Set());
  await waitFor('requests to be allowed', () => leases.maySend());
  state.nowMs += 8_000;
  expect(leases.maySend()).toBe(false);
  await waitFor('the look after the lapse', () => looks.length === 2);
  expect(lease.isValid()).toBe(true);
  expect(leases.maySend()).toBe(false);
  looks[1]?.resolve(new Set());
  await waitFor('requests to be allowed again', () => leases.maySend());
});

test('once it is given up nothing may start', async () => {
  const { state, lease, keep, stop } = setUp();
  const kept = keep();
  await waitFor('it to be valid', () => lease.isValid());
  stop.abort();
  await kept;
  await lease.end();
  expect(lease.isValid()).toBe(false);
  expect(state.removals).toBe(1);
});
