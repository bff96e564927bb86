import type { Lsn } from '../../../shared/domain/lsn.ts';
import { ExportFailedError } from '../extraction-errors.ts';
import type { SourceIdentity } from '../source/source-session.ts';
import type { FeedState } from '../store/feed-state.ts';

export interface FeedWatch {
  /** @throws ExportFailedError when the feed stands still for too long, or follows another server */
  check(state: FeedState | undefined): void;
}

/**
 * Judges whether waiting for the feed makes sense. A feed that is far behind but moves is waited for; one that stands
 * still for `timeoutMs` is not running, and saying so beats an export that hangs.
 */
export function createFeedWatch(
  identity: SourceIdentity,
  timeoutMs: number,
  now: () => number = Date.now,
): FeedWatch {
  let seen: { settledLsn: Lsn; passedLsn: Lsn } | undefined;
  let movedAtMs = now();
  return {
    check(state) {
      if (state !== undefined && state.systemId !== identity.systemId) {
        throw new ExportFailedError(
          'feed_mismatch',
          `The feed follows the server ${state.systemId}, and the export reads ${identity.systemId}: ` +
            'DATABASE_URL of capture and of the extractor must name the same server.',
        );
      }
      if (
        state !== undefined &&
        (seen?.settledLsn !== state.settledLsn || seen.passedLsn !== state.passedLsn)
      ) {
        seen = { settledLsn: state.settledLsn, passedLsn: state.passedLsn };
        movedAtMs = now();
      }
      const stoodMs = now() - movedAtMs;
      if (stoodMs < timeoutMs) return;
      const seconds = Math.round(stoodMs / 1_000);
      throw new ExportFailedError(
        'feed_not_running',
        state !== undefined && state.timeline !== identity.timeline
          ? `The feed is on timeline ${state.timeline} and the source on ${identity.timeline}, and has not moved for ` +
              `${seconds} s: check capture, which has to follow the source after a failover.`
          : `The feed has not moved for ${seconds} s: check that capture and dispatcher run.`,
      );
    },
  };
}

/** @throws ExportFailedError when the source was failed over while the export ran, so that its seal means nothing now */
export function assertSameTimeline(state: FeedState | undefined, identity: SourceIdentity): void {
  if (state?.systemId === identity.systemId && state.timeline === identity.timeline) return;
  throw new ExportFailedError(
    'feed_mismatch',
    `The source was failed over during the export (timeline ${identity.timeline}, the feed is on ` +
      `${state?.timeline ?? 'none'}): start the export again.`,
  );
}

/** Whether a snapshot taken from now on holds every transaction up to `lsn`, as far as the feed of this server knows. */
export function isSettledPast(state: FeedState | undefined, identity: SourceIdentity, lsn: Lsn): boolean {
  return (
    state !== undefined &&
    state.systemId === identity.systemId &&
    state.timeline === identity.timeline &&
    state.settledLsn >= lsn
  );
}
