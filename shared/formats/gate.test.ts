import { expect, test } from 'vitest';
import { createGate } from './gate.ts';

const never = new AbortController().signal;

test('work goes one at a time, in its order, also after a failure', async () => {
  const gate = createGate();
  const seen: string[] = [];
  const first = Promise.withResolvers<void>();
  const results = [
    gate.pass(never, () => first.promise.then(() => seen.push('first'))),
    gate.pass(never, async () => {
      seen.push('second');
      throw new Error('no');
    }),
    gate.pass(never, async () => seen.push('third')),
  ];
  expect(seen).toEqual([]);
  first.resolve();
  expect((await Promise.allSettled(results)).map(({ status }) => status)).toEqual([
    'fulfilled',
    'rejected',
    'fulfilled',
  ]);
  expect(seen).toEqual(['first', 'second', 'third']);
});

test('who gives up while waiting leaves the order as it is', async () => {
  const gate = createGate();
  const first = Promise.withResolvers<void>();
  const stop = new AbortController();
  const running = gate.pass(never, () => first.promise);
  const waiting = gate.pass(stop.signal, async () => 'too late');
  let isThirdDone = false;
  const third = gate.pass(never, async () => {
    isThirdDone = true;
  });
  const reason = new Error('cancelled');
  stop.abort(reason);
  await expect(waiting).rejects.toBe(reason);
  expect(isThirdDone).toBe(false);
  first.resolve();
  await Promise.all([running, third]);
  expect(isThirdDone).toBe(true);
});
