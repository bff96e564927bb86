import type { Pool } from 'pg';
import { pathsFingerprint } from '../../../shared/catalog/check-account-paths.ts';
import { findOpenTransactions } from '../../../shared/catalog/open-transactions.ts';
import type { ClaimedExport } from '../../../shared/control/exports/queue-exports.ts';
import { readBrokenPaths } from '../../../shared/control/route-generations.ts';
import { type Catalog, parentOf, type Resource } from '../../../shared/domain/catalog.ts';
import { type Lsn, parseLsn } from '../../../shared/domain/lsn.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import type { Notifier } from '../../../shared/runtime/notifier.ts';
import { ExportFailedError } from '../extraction-errors.ts';
import type { SourceIdentity } from '../source/source-connection.ts';
import type { SourceSession } from '../source/source-session.ts';
import {
  type FeedState,
  type RecordingState,
  readRecordingState,
  startRecording,
} from '../store/feed-state.ts';
import { readInsertLsn, sendHeartbeat } from './take-snapshot.ts';

export interface FeedWatch {
  /** @throws ExportFailedError when the feed has stalled for too long, or follows another server */
  check(state: FeedState | undefined): void;
}

/**
 * Decides whether to wait for the feed. One that is behind but moves is worth the wait. One that has stalled for
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

/**
 * Whether every snapshot taken from now on holds all transactions whose commit records begin before `lsn`, by the feed of
 * this server.
 */
export function isSettledPast(state: FeedState | undefined, identity: SourceIdentity, lsn: Lsn): boolean {
  return (
    state !== undefined &&
    state.systemId === identity.systemId &&
    state.timeline === identity.timeline &&
    state.settledLsn >= lsn - 1n
  );
}

/**
 * Waits until capture knows the accounts of all parents. Changes that it skipped before are in every later snapshot.
 *
 * @throws ExportFailedError when capture does not learn them by the paths of this catalog, or a path can't be followed
 */
export async function awaitRoutes(
  { signal }: { readonly signal: AbortSignal },
  catalog: Catalog,
  resources: readonly Resource[],
  control: Pool,
  notifier: Notifier,
  timeoutMs: number,
): Promise<void> {
  if (resources.every((resource) => parentOf(resource) === undefined)) return;
  const fingerprint = pathsFingerprint(catalog);
  const sinceMs = Date.now();
  for (;;) {
    const broken = await readBrokenPaths(control, fingerprint);
    const unknown = resources.find(({ name }) => broken?.includes(name));
    if (unknown !== undefined) {
      throw new ExportFailedError(
        'table_changed',
        `The account of the records of ${unknown.name} can't be found by their parents now: a table on the path is not published or can't be read, ` +
          'lacks a column, or does not say whose its old rows were. The operator finds it with `tandem source status`; start the export again afterwards.',
      );
    }
    if (broken !== undefined) return;
    signal.throwIfAborted();
    if (Date.now() - sinceMs > timeoutMs) {
      throw new ExportFailedError(
        'feed_mismatch',
        'Capture does not know the accounts of parent records by this catalog yet: check that it runs with the same catalog, ' +
          'then start the export again.',
      );
    }
    await notifier.wait(MAX_POLL_MS, signal);
  }
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
 * until the feed has settled past it. Then everything before is in the snapshot, and everything after is recorded.
 *
 * @returns the feed's settled position
 */
export async function awaitSettledFeed(
  { claim, signal }: { readonly claim: ClaimedExport; readonly signal: AbortSignal },
  sealing: SourceSession,
  feed: FeedWatch,
  notifier: Notifier,
  { settleTimeoutMs }: { readonly settleTimeoutMs: number },
  {
    control,
    readFeedState,
    log,
  }: {
    readonly control: Pool;
    readonly readFeedState: () => Promise<FeedState | undefined>;
    readonly log: Log;
  },
): Promise<Lsn> {
  const recording: RecordingState =
    claim.recordedFrom === null
      ? await readRecordingState(control, claim.accountId)
      : { newAccountIds: [], recordedFrom: parseLsn(claim.recordedFrom) };
  const isFirst = recording.newAccountIds.length > 0;
  const needed = isFirst ? await readInsertLsn(sealing) : recording.recordedFrom;
  let state = await readFeedState();
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
    state = await readFeedState();
  }
  if (isFirst) await startRecording(control, recording.newAccountIds, needed);
  if (state === undefined) throw new Error('a feed that has settled has a state');
  return state.settledLsn;
}

/** A finished transaction is visible within milliseconds, so a longer wait is for an open one. */
const REPORT_AFTER_MS = 10_000;
const REPORT_AGAIN_MS = 60_000;

export interface SettleWatch {
  /** @throws ExportFailedError when the feed has not settled for too long */
  check(): Promise<void>;
}

export interface SettleWatchDeps {
  readonly exportId: string;
  readonly timeoutMs: number;
  readonly source: Pick<SourceSession, 'query'>;
  readonly log: Log;
  readonly now?: () => number;
}

/**
 * Reports the transactions that an export waits for when the feed moves and does not settle: those of the product that
 * were open before it. They may stay open for days, so the wait ends after `timeoutMs`.
 */
export function createSettleWatch({
  exportId,
  timeoutMs,
  source,
  log,
  now = Date.now,
}: SettleWatchDeps): SettleWatch {
  const sinceMs = now();
  let reportAtMs = sinceMs + REPORT_AFTER_MS;
  return {
    async check() {
      const waitedMs = now() - sinceMs;
      if (now() >= reportAtMs || waitedMs >= timeoutMs) {
        reportAtMs = now() + REPORT_AGAIN_MS;
        const transactions = await findOpenTransactions((sql) => source.query(sql, []));
        log.warn('export.waits_for_transactions', {
          exportId,
          waitedMs,
          transactions,
          remedy:
            'end forgotten ones: pg_terminate_backend(pid), ROLLBACK PREPARED; transactions of other roles are shown only with pg_monitor',
        });
      }
      if (waitedMs < timeoutMs) return;
      throw new ExportFailedError(
        'feed_not_settled',
        `Transactions in the source have been open since before the export for ${Math.round(waitedMs / 1_000)} s, and it ` +
          'waits for them. Start it again once they have ended; the log of the extractor names them.',
      );
    },
  };
}
