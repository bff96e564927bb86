import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isVisible, parseSnapshot, type Snapshot } from '../../../shared/domain/snapshot.ts';
import { createSettling, type Settling } from './settled.ts';

const NOTHING_VISIBLE = parseSnapshot('1:1:');
const FRESH = { settledLsn: 0n, unsettled: [], unsettledXmin: null };

function settlingAt(snapshot: Snapshot, maxUnsettled?: number): Settling {
  return createSettling(FRESH, snapshot, maxUnsettled);
}

test('without transactions everything before the passed position is settled: a commit may begin right there', () => {
  expect(settlingAt(NOTHING_VISIBLE).state(70n).settledLsn).toBe(69n);
});

test('a commit that is streamed and not visible yet holds the settled position before it', () => {
  const settling = settlingAt(parseSnapshot('10:10:'));
  settling.add({ commitLsn: 100n, xid: 10n });
  expect(settling.state(150n)).toMatchObject({
    settledLsn: 99n,
    unsettled: [{ commitLsn: 100n, xid: 10n }],
  });
  settling.update(parseSnapshot('10:12:10'));
  expect(settling.state(160n).settledLsn).toBe(99n);
  settling.update(parseSnapshot('12:12:'));
  expect(settling.state(160n)).toMatchObject({ settledLsn: 159n, unsettled: [], snapshot: '12:12:' });
});

test('a later transaction that is visible already waits for an earlier one that is not', () => {
  const settling = settlingAt(parseSnapshot('10:10:'));
  settling.add({ commitLsn: 100n, xid: 11n });
  settling.add({ commitLsn: 200n, xid: 10n });
  settling.update(parseSnapshot('11:12:11'));
  expect(settling.state(250n)).toMatchObject({
    settledLsn: 99n,
    unsettled: [{ commitLsn: 100n, xid: 11n }],
  });
});

test('a transaction that the latest snapshot has seen is settled when it comes', () => {
  const settling = settlingAt(parseSnapshot('20:20:'));
  settling.add({ commitLsn: 100n, xid: 19n });
  expect(settling.state(150n).settledLsn).toBe(149n);
  expect(settling.hasUnsettled).toBe(false);
});

test('what a restart carries over is not settled before it is visible', () => {
  const settling = createSettling(
    { settledLsn: 50n, unsettled: [{ commitLsn: 60n, xid: 30n }], unsettledXmin: null },
    parseSnapshot('30:30:'),
  );
  expect(settling.state(90n).settledLsn).toBe(59n);
});

test('a list that grows too long is cut to one number, and settles once every snapshot is past it', () => {
  const settling = settlingAt(parseSnapshot('10:10:'), 2);
  settling.add({ commitLsn: 100n, xid: 10n });
  settling.add({ commitLsn: 110n, xid: 12n });
  settling.add({ commitLsn: 120n, xid: 11n });
  expect(settling.state(130n)).toMatchObject({
    settledLsn: 99n,
    unsettledXmin: 13n,
    unsettled: [{ commitLsn: 120n }],
  });
  settling.update(parseSnapshot('12:14:12'));
  expect(settling.state(130n).settledLsn).toBe(99n);
  settling.update(parseSnapshot('13:14:13'));
  expect(settling.state(130n)).toMatchObject({ settledLsn: 129n, unsettledXmin: null });
});

/**
 * Transactions in commit order. Each becomes visible at some step after its commit is streamed, in any order among
 * them; one that was open long has a lower ID than those before it, and was in progress all that time.
 */
const history = fc.array(fc.record({ delay: fc.nat(8), isOpenLong: fc.boolean() }), {
  minLength: 1,
  maxLength: 40,
});

test('whatever is settled is visible in the snapshot that settled it, for any order of commits and looks', () => {
  fc.assert(
    fc.property(history, fc.integer({ min: 1, max: 5 }), (picks, maxUnsettled) => {
      const settling = settlingAt(NOTHING_VISIBLE, maxUnsettled);
      const transactions = picks.map(({ delay, isOpenLong }, step) => ({
        commitLsn: BigInt(step + 1) * 10n,
        xid: BigInt(isOpenLong ? 100 - step : 100 + step),
        visibleAt: step + delay,
      }));
      transactions.forEach((transaction, step) => {
        settling.add(transaction);
        const snapshot = snapshotAt(transactions, step);
        settling.update(snapshot);
        // The next commit record begins where this one ends.
        const { settledLsn } = settling.state(transaction.commitLsn + 10n);
        for (const each of transactions) {
          if (each.commitLsn <= settledLsn) expect(isVisible(each.xid, snapshot)).toBe(true);
        }
      });
    }),
  );
});

/** As PostgreSQL makes it: `xmax` is one above the greatest that has finished. */
function snapshotAt(transactions: readonly { xid: bigint; visibleAt: number }[], step: number): Snapshot {
  const finished = transactions.filter(({ visibleAt }) => visibleAt <= step).map(({ xid }) => xid);
  const xmax = finished.reduce((greatest, xid) => (xid > greatest ? xid : greatest), 50n) + 1n;
  const xip = transactions
    .filter(({ visibleAt, xid }) => visibleAt > step && xid < xmax)
    .map(({ xid }) => xid);
  const xmin = xip.reduce((least, xid) => (xid < least ? xid : least), xmax);
  return { xmin, xmax, xip };
}
