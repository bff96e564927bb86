import type { SlotWatch } from '../../../shared/catalog/slot-health.ts';
import { AppError } from '../../../shared/runtime/errors.ts';

/** Refuses new work while the WAL of the source piles up. */
export interface FeedGuard {
  /** @throws AppError `feed_behind` while the source retains too much WAL for the feed */
  requireSlack(): void;
}

/** A feed that is this far behind takes minutes to catch up. The slot is checked every few seconds. */
const RETRY_AFTER_SECONDS = 60;

/**
 * Refuses exports and bulk jobs. A bulk job writes WAL by the gigabyte. An export completes only after the
 * feed has passed its seal, and holds its snapshot until then. Reads are served, and so is accepted work. An
 * unknown state refuses nothing.
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
