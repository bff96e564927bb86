import { formatLsn, type Lsn } from '../../../shared/domain/lsn.ts';
import { GapPossibleError, type GapReason } from '../gap-possible-error.ts';
import type { CaptureProgress } from './capture-progress.ts';

/** What the source says of itself and of the slot, while we hold it. */
export interface SourcePosition {
  readonly systemId: string;
  readonly timeline: number;
  readonly confirmedFlushLsn: Lsn;
  /** Above every transaction ID given out so far. */
  readonly nextXid: bigint;
}

export interface StartPoint {
  readonly progress: CaptureProgress;
  /** A gap was accepted here: every resource's subscribers have to be told. */
  readonly isAfterGap: boolean;
}

/**
 * Where to go on from. Without a stored state the feed begins where the slot stands, and nothing is settled before
 * every transaction that had an ID by then has ended: one that committed before the slot's position is not in the feed,
 * and might not be visible yet.
 *
 * @param acceptedGapAfter the position that an operator has named to go on with a gap behind it
 * @throws GapPossibleError when changes between the stored state and what the slot still gives may be lost
 */
export function startPoint(
  slotName: string,
  stored: CaptureProgress | undefined,
  source: SourcePosition,
  acceptedGapAfter: Lsn | undefined,
): StartPoint {
  const { systemId, timeline, confirmedFlushLsn, nextXid } = source;
  const fresh = {
    systemId,
    timeline,
    passedLsn: confirmedFlushLsn,
    unsettled: [],
    unsettledXmin: nextXid,
    snapshot: '',
  };
  if (stored === undefined) {
    return {
      progress: { ...fresh, lastCommitLsn: 0n, lastIndex: -1, settledLsn: 0n },
      isAfterGap: false,
    };
  }
  const gap = (reason: GapReason, found: string) =>
    new GapPossibleError(reason, slotName, stored.passedLsn, found);
  if (stored.systemId !== systemId) {
    throw gap('other_system', `the source's system identifier is ${systemId} and was ${stored.systemId}`);
  }
  if (stored.timeline !== timeline) {
    throw gap('timeline_changed', `the source's timeline is ${timeline} and was ${stored.timeline}`);
  }
  if (confirmedFlushLsn <= stored.passedLsn) return { progress: stored, isAfterGap: false };
  if (acceptedGapAfter !== stored.passedLsn) {
    throw gap('slot_ahead', `the slot gives only what comes after ${formatLsn(confirmedFlushLsn)}`);
  }
  const { lastCommitLsn, lastIndex, settledLsn } = stored;
  return { progress: { ...fresh, lastCommitLsn, lastIndex, settledLsn }, isAfterGap: true };
}
