import type { SlotWatch } from '../../../shared/catalog/slot-watch.ts';
import { AppError } from '../../../shared/runtime/errors.ts';

/** Keeps new work away from a source whose WAL piles up. */
export interface FeedGuard {
  /** @throws AppError `feed_behind` when the source keeps so much WAL for the feed that nothing may add to it */
  requireSlack(): void;
}

/** A feed that is this far behind takes minutes to catch up, and the slot is looked at every few seconds. */
const RETRY_AFTER_SECONDS = 60;

/**
 * Exports and bulk jobs are refused: a job's changes are WAL by the gigabyte, and an export could not be completed before the
 * feed has passed its seal, and would hold a snapshot until then. What reads is served, and so is what was accepted
 * before. A state that is not known refuses nothing.
 */
export function createFeedGuard(watch: Pick<SlotWatch, 'latest'>): FeedGuard {
  return {
    requireSlack() {
      if (watch.latest()?.state !== 'refuse') return;
      throw new AppError(
        'feed_behind',
        'The change feed is too far behind, so new exports and bulk jobs are refused. Try again later.',
        { retryAfterSeconds: RETRY_AFTER_SECONDS },
      );
    },
  };
}
