import { expect, test } from 'vitest';
import { LogEnds } from './log-ends.ts';
import { hasPassed } from './watch-lost-chunks.ts';

function setUp() {
  let high = 10;
  const ends = new LogEnds({
    fetchTopicOffsets: async () => [{ partition: 0, offset: String(high), high: String(high), low: '0' }],
  });
  return { ends, grow: () => (high += 1) };
}

test('the end is that of the first question, though the topic has grown', async () => {
  const { ends, grow } = setUp();
  await ends.notedFor('a', 't');
  grow();
  expect(await ends.notedFor('a', 't')).toEqual(new Map([[0, 10n]]));
  expect(await ends.notedFor('b', 't')).toEqual(new Map([[0, 11n]]));
});

test('what nobody asks for any longer is forgotten', async () => {
  const { ends, grow } = setUp();
  await ends.notedFor('a', 't');
  ends.forgetUnasked();
  grow();
  expect(await ends.notedFor('a', 't')).toEqual(new Map([[0, 10n]]));
  ends.forgetUnasked();
  ends.forgetUnasked();
  expect(await ends.notedFor('a', 't')).toEqual(new Map([[0, 11n]]));
});

test('a topic is read when every partition is committed up to its end', () => {
  const end = new Map([
    [0, 5n],
    [1, 0n],
  ]);
  expect(hasPassed(new Map([[0, 5n]]), end)).toBe(true);
  expect(hasPassed(new Map([[0, 4n]]), end)).toBe(false);
  expect(hasPassed(new Map([[0, -1n]]), end)).toBe(false);
  expect(hasPassed(new Map([[1, 7n]]), end)).toBe(false);
});
