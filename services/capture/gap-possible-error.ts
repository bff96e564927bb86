import { formatLsn, type Lsn } from '../../shared/domain/lsn.ts';

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
