import type { Pool } from 'pg';
import type { ClaimedExport } from '../../../shared/control/exports/claim-export.ts';
import type { Lsn } from '../../../shared/domain/lsn.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import type { Notifier } from '../../../shared/runtime/notifier.ts';
import { ExportFailedError } from '../extraction-errors.ts';
import type { SourceIdentity, SourceSession } from '../source/source-session.ts';
import type { FeedState } from '../store/feed-state.ts';
import { readFeedState } from '../store/feed-state.ts';
import { readRecordingState, startRecording } from '../store/recorded-from.ts';
import { readInsertLsn, sendHeartbeat } from './sealing-session.ts';
import { createSettleWatch } from './settle-watch.ts';

export interface FeedWatch {
  /** @throws ExportFailedError when the feed has stalled for too long, or follows another server */
  check(state: FeedState | undefined): void;
}

/**
 * Decides whether to wait for the feed. A feed that is behind but moves is worth the wait; one that has stalled for
 * `timeoutMs` is not running, and a failed export is better than one that hangs.
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

/** @throws ExportFailedError when the source failed over during the export, which makes its seal void */
export function assertSameTimeline(state: FeedState | undefined, identity: SourceIdentity): void {
  if (state?.systemId === identity.systemId && state.timeline === identity.timeline) return;
  throw new ExportFailedError(
    'feed_mismatch',
    `The source was failed over during the export (timeline ${identity.timeline}, the feed is on ` +
      `${state?.timeline ?? 'none'}): start the export again.`,
  );
}

/** Whether every snapshot taken from now on holds all transactions up to `lsn`, by the feed of this server. */
export function isSettledPast(state: FeedState | undefined, identity: SourceIdentity, lsn: Lsn): boolean {
  return (
    state !== undefined &&
    state.systemId === identity.systemId &&
    state.timeline === identity.timeline &&
    state.settledLsn >= lsn
  );
}

const MIN_POLL_MS = 20;
/** Longest interval between two polls of the holder; an event in this process ends the wait at once. */
export const MAX_POLL_MS = 150;
/** Interval as a share of the time waited so far, which bounds the added delay. */
const POLL_SHARE = 0.1;

/** Interval before the next poll, after a wait of `waitedMs`. */
export function pollIntervalMs(waitedMs: number): number {
  return Math.min(MAX_POLL_MS, Math.max(MIN_POLL_MS, waitedMs * POLL_SHARE));
}

/**
 * Waits until every change that the snapshot will not hold is sure to be recorded.
 *
 * The changes of an account are recorded once the account is known. Changes streamed before that are not, and one of
 * them may still be invisible to a snapshot taken now. So the account's first export reads the WAL position and waits
 * until the feed has settled past it: then everything before is in the snapshot, and everything after is recorded.
 *
 * @returns the feed's settled position
 */
export async function awaitSettledFeed(
  { claim, signal }: { readonly claim: ClaimedExport; readonly signal: AbortSignal },
  sealing: SourceSession,
  feed: FeedWatch,
  control: Pool,
  notifier: Notifier,
  { settleTimeoutMs, log }: { readonly settleTimeoutMs: number; readonly log: Log },
): Promise<Lsn> {
  const recording = await readRecordingState(control, claim.accountId);
  const isFirst = recording.newAccountIds.length > 0;
  const needed = isFirst ? await readInsertLsn(sealing) : recording.recordedFrom;
  let state = await readFeedState(control);
  if (!isSettledPast(state, sealing.identity, needed)) await sendHeartbeat(sealing);
  const waitingSinceMs = Date.now();
  const settling = createSettleWatch({
    exportId: claim.id,
    timeoutMs: settleTimeoutMs,
    source: sealing,
    log,
  });
  while (!isSettledPast(state, sealing.identity, needed)) {
    feed.check(state);
    await settling.check();
    await notifier.wait(pollIntervalMs(Date.now() - waitingSinceMs), signal);
    signal.throwIfAborted();
    state = await readFeedState(control);
  }
  if (isFirst) await startRecording(control, recording.newAccountIds, needed);
  if (state === undefined) throw new Error('a feed that has settled has a state');
  return state.settledLsn;
}
