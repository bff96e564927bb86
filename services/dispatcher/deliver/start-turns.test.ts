import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createStartTurns } from './start-turns.ts';

/** Endpoints of accounts that start requests, each of which takes a millisecond of a turn that has five. */
const setUp = () => {
  let nowMs = 0;
  const started: string[] = [];
  const turns = createStartTurns(5, () => nowMs);
  const endpoint = (accountId: string, name: string, count: number) => {
    let left = count;
    const pump = () => {
      while (left > 0 && turns.take(accountId, pump)) {
        left -= 1;
        nowMs += 1;
        started.push(name);
      }
    };
    return pump;
  };
  return { started, endpoint };
};

test('a turn of the event loop starts as many requests as it has time for', async () => {
  const { started, endpoint } = setUp();
  endpoint('a', 'a1', 12)();
  expect(started).toHaveLength(5);
  await nextTurn();
  expect(started).toHaveLength(10);
  await nextTurn();
  await nextTurn();
  expect(started).toHaveLength(12);
});

test('whoever starts many is followed by everybody else first, by account and then by endpoint', async () => {
  const { started, endpoint } = setUp();
  endpoint('a', 'a1', 1_000)();
  endpoint('a', 'a2', 1_000)();
  started.length = 0;
  endpoint('b', 'b1', 2)();
  endpoint('c', 'c1', 1)();
  await nextTurn();
  await nextTurn();
  expect(started.slice(0, 8)).toEqual(['a1', 'b1', 'c1', 'a2', 'b1', 'a1', 'a2', 'a1']);
});

test('one that asks again while it waits has one turn, and one with nothing to start costs the others nothing', async () => {
  const { started, endpoint } = setUp();
  endpoint('a', 'a1', 6)();
  const late = endpoint('b', 'b1', 1);
  late();
  late();
  await nextTurn();
  await nextTurn();
  expect(started).toEqual(['a1', 'a1', 'a1', 'a1', 'a1', 'a1', 'b1']);
});
