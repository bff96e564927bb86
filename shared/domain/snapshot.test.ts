import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatSnapshot, isVisible, parseSnapshot, seesAllOf, widenXid } from './snapshot.ts';

test('a snapshot without running transactions ends in a colon', () => {
  expect(parseSnapshot('795:799:')).toEqual({ xmin: 795n, xmax: 799n, xip: [] });
});

test('printing a snapshot and parsing it gives the same one', () => {
  const xid = fc.bigInt({ min: 3n, max: 2n ** 63n });
  fc.assert(
    fc.property(xid, xid, fc.array(xid), (xmin, xmax, xip) => {
      const snapshot = { xmin, xmax, xip };
      expect(parseSnapshot(formatSnapshot(snapshot))).toEqual(snapshot);
    }),
  );
});

test('text that is not a snapshot is refused', () => {
  expect(() => parseSnapshot('795:799')).toThrow(RangeError);
  expect(() => parseSnapshot('')).toThrow(RangeError);
});

test('a transaction is visible below xmin, hidden while in progress, and hidden from xmax on', () => {
  const snapshot = { xmin: 10n, xmax: 20n, xip: [10n, 15n] };
  expect([9n, 10n, 14n, 15n, 19n, 20n, 21n].filter((xid) => isVisible(xid, snapshot))).toEqual([
    9n,
    14n,
    19n,
  ]);
});

test('a 32-bit transaction ID is widened to the nearest 64-bit one, on both sides of an epoch', () => {
  const epoch = 1n << 32n;
  expect(widenXid(700, 750n)).toBe(700n);
  expect(widenXid(5, epoch - 3n)).toBe(epoch + 5n);
  expect(widenXid(0xffff_fff0, epoch + 3n)).toBe(0xffff_fff0n);
  expect(widenXid(7, 3n * epoch + 9n)).toBe(3n * epoch + 7n);
});

test('a snapshot sees all of another one only if it sees each transaction of it', () => {
  const snapshot = fc
    .tuple(
      fc.bigInt({ min: 3n, max: 8n }),
      fc.bigInt({ min: 0n, max: 5n }),
      fc.subarray([3n, 4n, 5n, 6n, 7n, 8n, 9n, 10n]),
    )
    .map(([xmin, more, open]) => {
      const xmax = xmin + more;
      return { xmin, xmax, xip: open.filter((xid) => xid >= xmin && xid < xmax) };
    });
  const xids = Array.from({ length: 20 }, (_, index) => BigInt(index));
  fc.assert(
    fc.property(snapshot, snapshot, (later, earlier) => {
      if (!seesAllOf(later, earlier)) return;
      for (const xid of xids) if (isVisible(xid, earlier)) expect(isVisible(xid, later)).toBe(true);
    }),
  );
  expect(seesAllOf({ xmin: 5n, xmax: 9n, xip: [5n] }, { xmin: 4n, xmax: 8n, xip: [4n, 5n] })).toBe(true);
  expect(seesAllOf({ xmin: 5n, xmax: 9n, xip: [5n] }, { xmin: 6n, xmax: 8n, xip: [] })).toBe(false);
});

test('widening gives back any ID that is less than half an epoch away', () => {
  fc.assert(
    fc.property(
      fc.bigInt({ min: 1n << 31n, max: 1n << 50n }),
      fc.bigInt({ min: -(1n << 31n) + 1n, max: (1n << 31n) - 1n }),
      (near, distance) => {
        const xid = near + distance;
        fc.pre(xid >= 3n);
        expect(widenXid(Number(xid & 0xffff_ffffn), near)).toBe(xid);
      },
    ),
  );
});
