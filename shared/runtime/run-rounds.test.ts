import { expect, test } from 'vitest';
import { runRounds } from './run-rounds.ts';

test('a round that fails is reported, and the next one follows until the signal aborts', async () => {
  const stop = new AbortController();
  const failures: unknown[] = [];
  let count = 0;
  const round = async () => {
    count += 1;
    if (count === 1) throw new Error('first');
    if (count === 3) stop.abort();
  };
  await runRounds(round, { restMs: 1, onFailed: (error) => failures.push(error) }, stop.signal);
  expect(count).toBe(3);
  expect(failures).toEqual([new Error('first')]);
});

test('the rest ends with the signal, and a failed round has a rest of its own', async () => {
  const stop = new AbortController();
  const round = async () => {
    setImmediate(() => stop.abort());
    throw new Error('away');
  };
  const rounds = { restMs: 1, retryMs: 60_000, onFailed: () => undefined };
  await runRounds(round, rounds, stop.signal);
  expect(stop.signal.aborted).toBe(true);
});
