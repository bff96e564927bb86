import { expect, test } from 'vitest';
import { readWalFrame, toUnixMicros, writeStatusUpdate } from './wal-frames.ts';

test('data carries its place in the log and its payload', () => {
  const chunk = Buffer.alloc(27);
  chunk.write('w', 0);
  chunk.writeBigUInt64BE(0x1_0000_0002n, 1);
  chunk.write('ok', 25);
  expect(readWalFrame(chunk)).toEqual({ kind: 'data', lsn: 0x1_0000_0002n, payload: Buffer.from('ok') });
});

test('a keepalive says how far the server has come and whether it waits for an answer', () => {
  const chunk = Buffer.alloc(18);
  chunk.write('k', 0);
  chunk.writeBigUInt64BE(99n, 1);
  chunk[17] = 1;
  expect(readWalFrame(chunk)).toEqual({ kind: 'keepalive', walEnd: 99n, isReplyRequested: true });
});

test('an unknown frame is refused', () => {
  expect(() => readWalFrame(Buffer.from('z'))).toThrow(RangeError);
});

test('a status update is a whole message with the server’s epoch', () => {
  const message = writeStatusUpdate(
    { written: 5n, flushed: 3n, isReplyRequested: true },
    Date.UTC(2000, 0, 1) + 2,
  );
  expect(message.toString('latin1', 0, 1)).toBe('d');
  expect(message.readUInt32BE(1)).toBe(message.length - 1);
  expect(message.toString('latin1', 5, 6)).toBe('r');
  expect([6, 14, 22, 30].map((place) => message.readBigUInt64BE(place))).toEqual([5n, 3n, 3n, 2_000n]);
  expect(message[38]).toBe(1);
});

test('times of the server become times since 1970', () => {
  expect(toUnixMicros(1n)).toBe(BigInt(Date.UTC(2000, 0, 1)) * 1_000n + 1n);
});
