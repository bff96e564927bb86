import { formatLsn, type Lsn } from '../../../shared/domain/lsn.ts';
import type { CaptureProgress } from './capture-progress.ts';

/** What was found that the feed may have missed changes by. */
export type GapReason = 'slot_missing' | 'slot_lost' | 'slot_ahead' | 'timeline_changed' | 'other_system';

const REMEDIES: Record<GapReason, string> = {
  slot_missing: 'The slot is gone: make it again with `tandem source prepare`, and start capture once more.',
  slot_lost:
    'The server has removed WAL that was not read yet: raise max_slot_wal_keep_size, drop the slot with ' +
    'pg_drop_replication_slot, make it again with `tandem source prepare`, and start capture once more.',
  slot_ahead: 'The slot was made again, or was read by another program: nothing else may use it.',
  timeline_changed:
    'The source was promoted or restored: it may lack the last commits of the old primary, which subscribers may ' +
    'have received.',
  other_system:
    'This is another database cluster, whose positions mean other things: set DATABASE_URL back if the feed should ' +
    'follow the old one.',
};

/**
 * Going on would leave a hole in the feed, and never does so by itself. An operator accepts the gap by name, with the
 * position in the message; capture then tells every subscriber that each resource needs a new export.
 */
export class GapPossibleError extends Error {
  override readonly name = 'GapPossibleError';
  readonly reason: GapReason;
  /** Everything at or before it is in the topic. */
  readonly passedLsn: Lsn;

  constructor(reason: GapReason, slotName: string, passedLsn: Lsn, found: string) {
    super(
      `gap possible: the feed of slot ${slotName} stands at ${formatLsn(passedLsn)}, but ${found}. ` +
        `${REMEDIES[reason]} To go on from where the slot is then, with feed.reset for every resource, start capture ` +
        `once with ACCEPT_GAP_AFTER=${formatLsn(passedLsn)}.`,
    );
    this.reason = reason;
    this.passedLsn = passedLsn;
  }
}

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
 * Past everything that was published, also the first changes of a transaction whose end was not. A commit is longer than a byte, so
 * nothing else commits right behind its beginning.
 */
export function publishedTo({
  passedLsn,
  lastCommitLsn,
}: Pick<CaptureProgress, 'passedLsn' | 'lastCommitLsn'>): Lsn {
  return lastCommitLsn < passedLsn ? passedLsn : lastCommitLsn + 1n;
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
