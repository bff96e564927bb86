import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import { tapDataRows } from './data-row-tap.ts';

class FakeSocket extends EventEmitter {
  isPaused = false;

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }
}

function message(type: string, body: string): Buffer {
  const header = Buffer.alloc(5);
  header.write(type);
  header.writeUInt32BE(4 + body.length, 1);
  return Buffer.concat([header, Buffer.from(body)]);
}

function setUp() {
  const socket = new FakeSocket();
  const seen: string[] = [];
  const others: string[] = [];
  const listener = (bytes: Buffer) => others.push(bytes.toString());
  socket.on('data', listener);
  const hooks = { onRow: () => {} };
  const tap = tapDataRows(socket, (bytes, start, end) => {
    seen.push(bytes.toString('utf8', start, end));
    hooks.onRow();
  });
  return { socket, seen, others, hooks, tap, listener };
}

const STREAM = Buffer.concat([
  message('1', ''),
  message('D', 'one'),
  message('D', ''),
  message('N', 'a notice'),
  message('D', 'x'.repeat(1_000)),
  message('C', 'SELECT 3'),
]);
const ROWS = ['one', '', 'x'.repeat(1_000)];
const REST = [message('1', ''), message('N', 'a notice'), message('C', 'SELECT 3')].map(String);

test.each([1, 2, 3, 7, 100, 5_000])('rows come whole and the rest goes on, in pieces of %i bytes', (size) => {
  const { socket, seen, others } = setUp();
  for (let at = 0; at < STREAM.length; at += size) socket.emit('data', STREAM.subarray(at, at + size));
  expect(seen).toEqual(ROWS);
  expect(others).toEqual(REST);
});

test('a pause holds at the row that asked for it, and what came meanwhile follows', () => {
  const { socket, seen, others, hooks, tap } = setUp();
  hooks.onRow = tap.pause;
  socket.emit('data', STREAM.subarray(0, 30));
  expect([seen, socket.isPaused]).toEqual([['one'], true]);
  socket.emit('data', STREAM.subarray(30));
  expect(seen).toEqual(['one']);
  tap.resume();
  expect([seen, socket.isPaused]).toEqual([['one', ''], true]);
  tap.resume();
  expect([seen, socket.isPaused]).toEqual([ROWS, true]);
  expect(others).toEqual(REST.slice(0, 2));
  tap.resume();
  expect([others, socket.isPaused]).toEqual([REST, false]);
});

test('once closed it throws rows away and still hands on the rest', () => {
  const { socket, seen, others, tap } = setUp();
  tap.close();
  socket.emit('data', STREAM);
  expect(seen).toEqual([]);
  expect(others).toEqual(REST);
});

test('released, the connection is as it was, with the beginning of a message that had come', () => {
  const { socket, others, tap, listener } = setUp();
  socket.emit('data', Buffer.concat([STREAM, message('Z', 'I').subarray(0, 3)]));
  tap.release();
  expect(socket.listeners('data')).toEqual([listener]);
  socket.emit('data', message('Z', 'I').subarray(3));
  expect(others.slice(REST.length).join('')).toBe(message('Z', 'I').toString());
});
