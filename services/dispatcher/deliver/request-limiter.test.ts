import { expect, test } from 'vitest';
import { createRequestLimiter } from './request-limiter.ts';

const ENDPOINT_BUSY = 5;

/** Takes what the account may have. */
function fill(limiter: ReturnType<typeof createRequestLimiter>, account: string): number {
  let count = 0;
  for (; limiter.mayBegin(account, ENDPOINT_BUSY); count += 1) limiter.note(account, 1);
  return count;
}

test('an account by itself takes half of the room, and leaves some however many come', () => {
  const limiter = createRequestLimiter(1_000);
  expect(fill(limiter, 'a')).toBe(500);
  expect(fill(limiter, 'b')).toBe(250);
  expect(fill(limiter, 'c')).toBe(125);
});

test('what an account takes beyond its share goes to others as its requests end', () => {
  const limiter = createRequestLimiter(900);
  fill(limiter, 'a');
  fill(limiter, 'b');
  for (let n = 0; n < 450; n += 1) {
    limiter.note('a', -1);
    while (limiter.mayBegin('b', ENDPOINT_BUSY)) limiter.note('b', 1);
    while (limiter.mayBegin('a', ENDPOINT_BUSY)) limiter.note('a', 1);
  }
  expect(fill(limiter, 'c')).toBeGreaterThan(100);
});

test('an endpoint with nothing under way always gets one request through', () => {
  const limiter = createRequestLimiter(2);
  for (const account of ['a', 'b', 'c']) limiter.note(account, 1);
  expect(limiter.mayBegin('a', 0)).toBe(true);
  expect(limiter.mayBegin('a', 1)).toBe(false);
});
