import type { Lsn } from '../../../shared/domain/lsn.ts';
import { formatSnapshot, isVisible, type Snapshot } from '../../../shared/domain/snapshot.ts';

/** A transaction in the feed that was not visible in any polled snapshot yet. */
export interface Unsettled {
  readonly commitLsn: Lsn;
  readonly xid: bigint;
}

export interface SettledState {
  /** Every transaction whose commit record begins at or before it is visible to every snapshot taken after `snapshot`. */
  readonly settledLsn: Lsn;
  /** The latest polled snapshot, as `xmin:xmax:xip`. */
  readonly snapshot: string;
  /** In commit order. */
  readonly unsettled: readonly Unsettled[];
  /** Nothing settles before a snapshot's `xmin` has reached it; null unless the list was cut. */
  readonly unsettledXmin: bigint | null;
}

/**
 * The settled prefix of the feed, a visibility low-water mark: the longest prefix whose transactions are all visible in
 * a snapshot P. What is visible in P is visible in every later snapshot, so a subscription with a later snapshot may
 * start there.
 *
 * A transaction that is visible in P leaves the list at once, even if earlier ones are still invisible; the first one
 * left bounds the prefix. So the list holds transactions between WAL and visibility, at most one per connection, and
 * those since the last poll.
 */
export interface Settling {
  /** A transaction with changes has been streamed to its end. Must be called in commit order. */
  add(transaction: Unsettled): void;
  update(snapshot: Snapshot): void;
  /**
   * @param passedLsn every transaction whose commit record begins before it has been added. The next commit record may
   *   begin exactly there. Never goes back
   */
  state(passedLsn: Lsn): SettledState;
  readonly hasUnsettled: boolean;
  /** `xmax` of the latest snapshot, used to widen xids. */
  readonly xmax: bigint;
}

/** More than any server has connections; in CaptureState they take about 30 kB. */
const MAX_UNSETTLED = 2_000;

export function createSettling(
  start: Omit<SettledState, 'snapshot'>,
  firstSnapshot: Snapshot,
  maxUnsettled: number = MAX_UNSETTLED,
): Settling {
  let { settledLsn, unsettledXmin } = start;
  let unsettled = [...start.unsettled];
  let latest = firstSnapshot;
  let latestText = '';

  const update = (snapshot: Snapshot) => {
    latest = snapshot;
    latestText = formatSnapshot(snapshot);
    if (unsettledXmin !== null && snapshot.xmin >= unsettledXmin) unsettledXmin = null;
    unsettled = unsettled.filter(({ xid }) => !isVisible(xid, snapshot));
  };

  /** One number replaces the list: once `xmin` has reached it, every transaction that was listed is visible. */
  const cut = () => {
    const first = unsettled[0];
    if (first === undefined) return;
    if (unsettledXmin === null && first.commitLsn - 1n > settledLsn) settledLsn = first.commitLsn - 1n;
    unsettledXmin = unsettled.reduce((xmin, { xid }) => (xid >= xmin ? xid + 1n : xmin), unsettledXmin ?? 0n);
    unsettled = [];
  };

  update(firstSnapshot);
  return {
    add(transaction) {
      if (isVisible(transaction.xid, latest)) return;
      if (unsettled.length >= maxUnsettled) cut();
      unsettled.push(transaction);
    },
    update,
    state(passedLsn) {
      const reached = (unsettled[0]?.commitLsn ?? passedLsn) - 1n;
      if (unsettledXmin === null && reached > settledLsn) settledLsn = reached;
      return { settledLsn, snapshot: latestText, unsettled, unsettledXmin };
    },
    get hasUnsettled() {
      return unsettled.length > 0 || unsettledXmin !== null;
    },
    get xmax() {
      return latest.xmax;
    },
  };
}
