import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatLsn, parseLsn } from './lsn.ts';
import {
  comparePositions,
  endOf,
  eventId,
  formatPosition,
  type Position,
  parseEventId,
  parsePosition,
} from './position.ts';

const position = fc.record({
  commitLsn: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  index: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
});

test('an LSN is printed as PostgreSQL prints it', () => {
  expect(formatLsn(0x16_b374_d848n)).toBe('16/B374D848');
  expect(parseLsn('16/B374D848')).toBe(0x16_b374_d848n);
  expect(() => parseLsn('16-B374D848')).toThrow(RangeError);
});

test('printing a position or an event ID and parsing it gives the same position', () => {
  fc.assert(
    fc.property(position, (at) => {
      expect(parsePosition(formatPosition(at))).toEqual(at);
      expect(parseEventId(eventId(at))).toEqual(at);
      expect(parseLsn(formatLsn(at.commitLsn))).toBe(at.commitLsn);
    }),
  );
});

test('positions and their texts sort alike, so a receiver may compare texts', () => {
  const sign = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
  fc.assert(
    fc.property(position, position, (a: Position, b: Position) => {
      expect(sign(formatPosition(a), formatPosition(b))).toBe(Math.sign(comparePositions(a, b)));
      expect(sign(eventId(a), eventId(b))).toBe(Math.sign(comparePositions(a, b)));
    }),
  );
});

test('the end of an LSN is after all its events and before the next transaction', () => {
  expect(comparePositions(endOf(5n), { commitLsn: 5n, index: 1_000_000 })).toBeGreaterThan(0);
  expect(comparePositions(endOf(5n), { commitLsn: 6n, index: 0 })).toBeLessThan(0);
});

test('text that is not a position gives undefined', () => {
  for (const text of ['', '0/1', 'evt_1', '000000001A2B3C4D-12', '000000001A2B3C4D-9999999999']) {
    expect(parsePosition(text)).toBeUndefined();
  }
  expect(parseEventId('evt_x')).toBeUndefined();
});
