import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { anySignal } from './any-signal.ts';
import { renewLease } from './lease-renewer.ts';

test('aborts with the first of several, for its reason', () => {
  const [first, second] = [new AbortController(), new AbortController()];
  using any = anySignal([first.signal, undefined, second.signal]);
  expect(any.signal.aborted).toBe(false);
  second.abort('second');
  first.abort('first');
  expect(any.signal.reason).toBe('second');
});

test('has aborted from the start when one of them has', () => {
  using any = anySignal([new AbortController().signal, AbortSignal.abort('before')]);
  expect(any.signal.reason).toBe('before');
});

test('aborts no more once it is disposed of', () => {
  const source = new AbortController();
  const any = anySignal([source.signal]);
  any[Symbol.dispose]();
  source.abort();
  expect(any.signal.aborted).toBe(false);
});

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Does the work and tells what it held, weakly. */
type HoldAndEnd = (stopping: AbortSignal) => Promise<WeakRef<object>>;

test.each<[string, HoldAndEnd]>([
  [
    'a signal of several',
    async (stopping) => {
      const held = { keys: [] };
      using any = anySignal([stopping, new AbortController().signal]);
      any.signal.addEventListener('abort', () => held.keys);
      return new WeakRef(held);
    },
  ],
  [
    'a lease',
    async (stopping) => {
      const held: { keys: object[] } = { keys: [] };
      await using lease = renewLease({ leaseSeconds: 10, renew: async () => 'held', stopping });
      // What listens to a lease knows the lease, as a reader of chunks does.
      lease.lost.addEventListener('abort', () => held.keys.push(lease));
      lease.signal.addEventListener('abort', () => held.keys.push(lease));
      return new WeakRef(held);
    },
  ],
])('nothing is kept of work that has ended and listened to %s', async (_what, holdAndEnd) => {
  const stopping = new AbortController();
  const held = await holdAndEnd(stopping.signal);
  await expect
    .poll(() => {
      collectGarbage();
      return held.deref() === undefined;
    })
    .toBe(true);
  expect(stopping.signal.aborted).toBe(false);
});
