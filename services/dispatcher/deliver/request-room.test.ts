import { expect, test } from 'vitest';
import { createRequestRoom } from './request-room.ts';

const ENDPOINT_BUSY = 5;

/** Takes what the account may have. */
function fill(room: ReturnType<typeof createRequestRoom>, account: string): number {
  let count = 0;
  for (; room.mayBegin(account, ENDPOINT_BUSY); count += 1) room.note(account, 1);
  return count;
}

test('an account by itself takes half of the room, and leaves some however many come', () => {
  const room = createRequestRoom(1_000);
  expect(fill(room, 'a')).toBe(500);
  expect(fill(room, 'b')).toBe(250);
  expect(fill(room, 'c')).toBe(125);
});

test('what an account takes beyond its share goes to others as its requests end', () => {
  const room = createRequestRoom(900);
  fill(room, 'a');
  fill(room, 'b');
  for (let n = 0; n < 450; n += 1) {
    room.note('a', -1);
    while (room.mayBegin('b', ENDPOINT_BUSY)) room.note('b', 1);
    while (room.mayBegin('a', ENDPOINT_BUSY)) room.note('a', 1);
  }
  expect(fill(room, 'c')).toBeGreaterThan(100);
});

test('an endpoint with nothing under way always gets one request through', () => {
  const room = createRequestRoom(2);
  for (const account of ['a', 'b', 'c']) room.note(account, 1);
  expect(room.mayBegin('a', 0)).toBe(true);
  expect(room.mayBegin('a', 1)).toBe(false);
});
