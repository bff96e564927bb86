import { expect, test } from 'vitest';
import { findBehind, LogEnds } from './watch-chunks.ts';

function setUp() {
  const topic = { low: 0, high: 10 };
  const ends = new LogEnds({
    fetchTopicOffsets: async () => [
      { partition: 0, offset: String(topic.high), high: String(topic.high), low: String(topic.low) },
    ],
  });
  const grow = () => {
    topic.high += 1;
    ends.forgetUnasked();
  };
  return { ends, grow, topic };
}

test('the end is that of the first question, though the topic has grown', async () => {
  const { ends, grow } = setUp();
  await ends.recordedEnd('a', 't');
  grow();
  expect(await ends.recordedEnd('a', 't')).toEqual(new Map([[0, 10n]]));
  expect(await ends.recordedEnd('b', 't')).toEqual(new Map([[0, 11n]]));
});

test('what nobody asks for any longer is forgotten', async () => {
  const { ends, grow } = setUp();
  await ends.recordedEnd('a', 't');
  grow();
  expect(await ends.recordedEnd('a', 't')).toEqual(new Map([[0, 10n]]));
  ends.forgetUnasked();
  ends.forgetUnasked();
  expect(await ends.recordedEnd('a', 't')).toEqual(new Map([[0, 11n]]));
});

test.each([
  { what: 'are deleted', now: { low: 10, high: 12 }, isGone: true },
  { what: 'are of a topic that was made again', now: { low: 0, high: 3 }, isGone: true },
  { what: 'are deleted in part', now: { low: 9, high: 10 }, isGone: false },
])('records that $what are gone in the second round: $isGone', async ({ now, isGone }) => {
  const { ends, topic } = setUp();
  expect(await ends.isGone('a', 't', 0)).toBe(false);
  ends.forgetUnasked();
  Object.assign(topic, now);
  expect(await ends.isGone('a', 't', 0)).toBe(false);
  ends.forgetUnasked();
  expect(await ends.isGone('a', 't', 0)).toBe(isGone);
});

test('behind is every partition that is not committed up to its end', () => {
  const end = new Map([
    [0, 5n],
    [1, 0n],
  ]);
  expect(findBehind(new Map([[0, 5n]]), end)).toEqual([]);
  expect(findBehind(new Map([[0, 4n]]), end)).toEqual([0]);
  expect(findBehind(new Map([[0, -2n]]), end)).toEqual([0]);
  expect(findBehind(new Map([[1, 7n]]), end)).toEqual([0]);
});
