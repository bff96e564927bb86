import { expect, test } from 'vitest';
import { HANDLER_TIMEOUT } from './call-handler.ts';
import { createHandlerBreaker } from './handler-breaker.ts';

const away = { code: 'handler_unavailable', message: '', isAway: true };

test('a handler that is away ten times in a row is taken to be away, one that answers in between is not', () => {
  const breaker = createHandlerBreaker(false);
  for (let n = 0; n < 30; n += 1) {
    breaker.saw(away);
    if (n % 9 === 8) breaker.saw(null);
  }
  expect(breaker.opened.aborted).toBe(false);
  for (let n = 0; n < 10; n += 1) breaker.saw(away);
  expect(breaker.opened.aborted).toBe(true);
});

test('an item that finds it away each time is at fault itself only where others were answered in between', () => {
  const other = createHandlerBreaker(false);
  other.saw({ code: 'handler_refused', message: '' });
  expect(other.gaveUp(0)).toBe(false);
  expect(other.gaveUp(1)).toBe(true);
});

test('when it was away a moment ago the first try tells, and a long rest that it asks for is given to it', () => {
  const probing = createHandlerBreaker(true);
  expect(probing.saw(away)).toBe(false);
  expect(probing.opened.aborted).toBe(true);
  const resting = createHandlerBreaker(false);
  resting.saw({ ...away, retryAfterMs: 1_000 });
  expect(resting.opened.aborted).toBe(false);
  resting.saw({ ...away, retryAfterMs: 30_000 });
  expect(resting.opened.aborted).toBe(true);
  expect(resting.retryAfterMs).toBe(30_000);
});

test('an item that hangs says nothing of the handler, unless it was away a moment ago', () => {
  const hung = { code: HANDLER_TIMEOUT, message: '' };
  const breaker = createHandlerBreaker(false);
  for (let n = 0; n < 30; n += 1) expect(breaker.saw(hung)).toBe(false);
  expect(breaker.opened.aborted).toBe(false);
  const probing = createHandlerBreaker(true);
  probing.saw(hung);
  expect(probing.opened.aborted).toBe(true);
});
