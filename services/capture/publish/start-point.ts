import { formatLsn, type Lsn } from '../../../shared/domain/lsn.ts';
import { GapPossibleError, type GapReason } from '../gap-possible-error.ts';
import type { CaptureProgress } from './capture-progress.ts';

/** Position of the source and of the slot, read while this instance holds the slot. */
export interface SourcePosition {
  readonly systemId: string;
  readonly timeline: number;
  readonly confirmedFlushLsn: Lsn;
}

/** How the feed starts: for the first time, where it ended, or after a gap that an operator has accepted. */
export type Start =
  | { readonly kind: 'first' }
  | { readonly kind: 'resume'; readonly stored: CaptureProgress }
  | { readonly kind: 'after_gap'; readonly stored: CaptureProgress };

/**
 * @param acceptedGapAfter the position after which an operator has accepted a gap
 * @throws GapPossibleError when changes between the stored state and the slot's position may be lost
 */
export function classifyStart(
  slotName: string,
  stored: CaptureProgress | undefined,
  source: SourcePosition,
  acceptedGapAfter: Lsn | undefined,
): Start {
  if (stored === undefined) return { kind: 'first' };
  const gap = findGap(stored, source);
  if (gap === undefined) return { kind: 'resume', stored };
  if (acceptedGapAfter === stored.passedLsn) return { kind: 'after_gap', stored };
  throw new GapPossibleError(gap.reason, slotName, stored.passedLsn, gap.found);
}

function findGap(
  stored: CaptureProgress,
  { systemId, timeline, confirmedFlushLsn }: SourcePosition,
): { reason: GapReason; found: string } | undefined {
  if (stored.systemId !== systemId) {
    const found = `the source's system identifier is ${systemId} and was ${stored.systemId}`;
    return { reason: 'other_system', found };
  }
  if (stored.timeline !== timeline) {
    const found = `the source's timeline is ${timeline} and was ${stored.timeline}`;
    return { reason: 'timeline_changed', found };
  }
  if (confirmedFlushLsn <= stored.passedLsn) return undefined;
  const found = `the slot gives only what comes after ${formatLsn(confirmedFlushLsn)}`;
  return { reason: 'slot_ahead', found };
}

/**
 * The state of a feed that begins at `passedLsn`. Nothing is settled before every transaction that has an ID at that
 * moment has ended: a transaction that committed before `passedLsn` is not in the feed, and might not be visible yet.
 *
 * @param stored of the feed before the gap, when there was one
 * @param nextXid above every transaction ID given out before the source was at `passedLsn`
 */
export function startAnew(
  stored: CaptureProgress | undefined,
  { systemId, timeline }: SourcePosition,
  passedLsn: Lsn,
  nextXid: bigint,
): CaptureProgress {
  return {
    systemId,
    timeline,
    passedLsn,
    unsettled: [],
    unsettledXmin: nextXid,
    snapshot: '',
    // After a gap every resource is reset, whatever its table was.
    tables: new Map(),
    // A gap mends nothing.
    setAsides: stored?.setAsides ?? [],
    lastCommitLsn: stored?.lastCommitLsn ?? 0n,
    lastIndex: stored?.lastIndex ?? -1,
    settledLsn: stored?.settledLsn ?? 0n,
  };
}
