import { expect, test } from 'vitest';
import { createAnswerFilter } from './answer-filter.ts';
import { EXCERPT_BYTES, MAX_ANSWER_BYTES } from './send.ts';

const CHUNKED = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;';

/** @returns how much of a body without an end, which comes in pieces of so many bytes, a parser gets to see */
const parsedOf = (pieceBytes: number): number => {
  const filter = createAnswerFilter();
  expect(filter.admit(Buffer.from(CHUNKED)).length).toBe(CHUNKED.length);
  let parsedBytes = 0;
  for (let count = 0; filter.error === undefined && count < 10_000; count++) {
    parsedBytes += filter.admit(Buffer.alloc(pieceBytes, 'x')).length;
  }
  expect(filter.error).toMatchObject({ code: 'ERR_ANSWER_OVERSIZED' });
  return parsedBytes;
};

test('of a body that is poured out a parser sees what is kept of it, and of one that comes slowly not much more than may be read', () => {
  expect(parsedOf(64 * 1_024)).toBeLessThanOrEqual(2 * EXCERPT_BYTES);
  expect(parsedOf(1_000)).toBeLessThanOrEqual(2 * MAX_ANSWER_BYTES);
});
