import type { Pool } from 'pg';
import { catalogFingerprints } from '../../../shared/catalog/catalog-fingerprint.ts';
import {
  addChunks,
  type PlannedChunk,
  type RunStatus,
  recordSnapshot,
  type SnapshotRecord,
} from '../../../shared/control/exports/export-run.ts';
import type { ClaimedExport } from '../../../shared/control/exports/queue-exports.ts';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import { formatLsn, type Lsn } from '../../../shared/domain/lsn.ts';
import type { RecordedChanges } from '../../../shared/kafka/recorded-changes.ts';
import { LeaseLostError } from '../../../shared/runtime/lease-renewer.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import type { Notifier } from '../../../shared/runtime/notifier.ts';
import type { Notifiers } from '../notifiers.ts';
import type { Refusals } from '../plan/refusals.ts';
import type { ResourceRowsSource } from '../plan/resource-rows.ts';
import { resourceOf } from '../plan/row-selection.ts';
import type { ReadSessions } from '../source/read-sessions.ts';
import type { OpenSourceSession, SourceSession } from '../source/source-session.ts';
import type { FeedState } from '../store/feed-state.ts';
import { type FeedWatch, isSettledPast, MAX_POLL_MS, pollIntervalMs } from './await-feed.ts';
import type { SharedSources } from './share-sources.ts';
import { newSealToken, type SeenSnapshot, sendSeal } from './take-snapshot.ts';

// The parts that both kinds of run use: sessions, waiting, chunks, the seal.

export interface RunExportDeps {
  readonly control: Pool;
  readonly openSession: OpenSourceSession;
  readonly sharedSources: SharedSources;
  readFeedState(): Promise<FeedState | undefined>;
  /** For reads under a snapshot that is used only once. */
  readonly readSessions: ReadSessions;
  readonly catalog: Catalog;
  readonly notifiers: Notifiers;
  readonly resourceRows: ResourceRowsSource;
  readonly refusals: Refusals;
  readonly log: Log;
  /** Counts a held snapshot. @returns a function to call when it is released; further calls change nothing */
  readonly holdSnapshot: () => () => void;
  /** Only for exports that need events: changes-since, as-of and chunked ones. */
  readonly recordedChanges: RecordedChanges;
  announceChunk(chunk: { exportId: string; resource: string; chunk: number; runAttempt: number }): void;
}

export interface RunExportConfig {
  /** Open chunks of one export: planned or being read. */
  readonly chunkWindow: number;
  readonly chunkBytes: number;
  readonly feedTimeoutMs: number;
  /** How long a moving feed may stay unsettled because of open transactions. */
  readonly settleTimeoutMs: number;
  /** Statement timeout of the holder: the first step of its cursor may have to sort all keys. */
  readonly planTimeoutMs: number;
  readonly publicationName: string;
  /** Exports with at least this many estimated rows are chunked unless the request says otherwise. 0: none are. */
  readonly chunkedExportRows: number;
}

/** A run's claim on its export; the holder renews the lease. */
export interface RunHandle {
  readonly claim: ClaimedExport;
  readonly signal: AbortSignal;
  /** Ends the run with a reason. */
  abort(reason: Error): void;
  /** Starts the time limit for holding a snapshot. */
  startDeadline(): void;
  /** @throws the reason when the run has ended */
  check(): Promise<Extract<RunStatus, { state: 'held' }>>;
}

/** Well under the minute after which the server ends a session that is idle in its transaction. */
const KEEP_ALIVE_MS = 10_000;

/**
 * Interval of checking for a lost seal. The seal and the feed's state are in different topics, so a rebalance of the
 * mirror's group may delay the seal.
 */
const SEAL_AGAIN_MS = 20_000;

/** Opens sessions that end with the run; `cleanup` ends them at the latest. */
export function createOpen(
  { signal, abort }: RunHandle,
  cleanup: AsyncDisposableStack,
  openSession: OpenSourceSession,
  { planTimeoutMs }: Pick<RunExportConfig, 'planTimeoutMs'>,
) {
  return async (purpose: string): Promise<SourceSession> => {
    const session = await openSession({ purpose, statementTimeoutMs: planTimeoutMs, onLost: abort });
    endWithRun(session, signal, cleanup);
    return session;
  };
}

/** @throws the signal's reason when the run has already ended */
export function endWithRun(session: SourceSession, signal: AbortSignal, cleanup: AsyncDisposableStack): void {
  cleanup.use(session);
  // Closes without waiting for a running statement, which may sort a whole table.
  signal.addEventListener('abort', () => session[Symbol.asyncDispose](), { once: true });
  signal.throwIfAborted();
}

/** A condition on the run's status. */
export type MustWait = (found: Awaited<ReturnType<RunHandle['check']>>) => boolean | Promise<boolean>;

/** Waits while a condition holds. */
export type WaitWhile = (mustWait: MustWait) => Promise<void>;

/** Keeps the sessions alive while it waits. */
export function createWait(
  run: RunHandle,
  notifier: Notifier,
  sessions: readonly SourceSession[],
): WaitWhile {
  let keptAliveAtMs = Date.now();
  return async (mustWait) => {
    const waitingSinceMs = Date.now();
    for (;;) {
      run.signal.throwIfAborted();
      if (Date.now() - keptAliveAtMs >= KEEP_ALIVE_MS) {
        for (const session of sessions) await session.query('select 1');
        keptAliveAtMs = Date.now();
      }
      const found = await run.check();
      if (!(await mustWait(found))) return;
      // A read by this process notifies. A seal arrives by another process, so it is polled too.
      const isSealAwaited = !found.isMirrored && found.openChunkCount === 0;
      const pollMs = isSealAwaited ? pollIntervalMs(Date.now() - waitingSinceMs) : MAX_POLL_MS;
      await notifier.wait(pollMs, run.signal);
    }
  };
}

/** The snapshot whose state an export's files show. */
export interface SealedSnapshot {
  readonly seen: SeenSnapshot;
  /** The feed's settled position before it. */
  readonly startLsn: Lsn;
  readonly tableForms: SnapshotRecord['tableForms'];
}

/**
 * Stores the snapshot of the run, with its seal, and sends the seal.
 *
 * @returns for `WaitWhile`: whether the seal, and what capture said with it, has not arrived yet. One that Kafka has lost is sent again
 * @throws LeaseLostError when the run is no longer ours
 */
export async function sealRun(
  claim: ClaimedExport,
  sealing: SourceSession,
  { seen, startLsn, tableForms }: SealedSnapshot,
  feed: FeedWatch,
  {
    control,
    catalog,
    readFeedState,
    log,
  }: Pick<RunExportDeps, 'control' | 'catalog' | 'readFeedState' | 'log'>,
): Promise<MustWait> {
  const { id } = claim;
  const token = newSealToken();
  await ours(
    recordSnapshot(control, claim, {
      takenAt: seen.takenAt,
      lsn: seen.lsn,
      xmin: seen.snapshot.xmin.toString(),
      xmax: seen.snapshot.xmax.toString(),
      xip: seen.snapshot.xip.map(String),
      startLsn: formatLsn(startLsn),
      sealToken: token,
      tableForms,
      catalog: catalogFingerprints(claim.resources.map((name) => resourceOf(catalog, name))),
      ...sealing.identity,
    }),
  );
  let sealSentLsn = await sendSeal(sealing, id, token);
  let passedAtMs: number | undefined;
  return async ({ isSealed, isMirrored }) => {
    if (isMirrored) return false;
    const state = await readFeedState();
    feed.check(state);
    if (isSealed || !isSettledPast(state, sealing.identity, sealSentLsn)) return true;
    passedAtMs ??= Date.now();
    if (Date.now() - passedAtMs < SEAL_AGAIN_MS) return true;
    // Kafka has lost the seal. A later one of this run is as good, because its session was open before the snapshot.
    log.warn('seal.sent_again', { exportId: id });
    sealSentLsn = await sendSeal(sealing, id, token);
    passedAtMs = undefined;
    return true;
  };
}

/** @param snapshotName null: each chunk is read under a snapshot of its own */
export async function addPlanned(
  { claim }: RunHandle,
  snapshotName: string | null,
  chunks: readonly PlannedChunk[],
  { control, notifiers, announceChunk }: RunExportDeps,
  areLast = false,
): Promise<void> {
  await ours(addChunks(control, claim, snapshotName, chunks, areLast));
  notifiers.chunks.notify();
  for (const { resource, chunk } of chunks) {
    announceChunk({ exportId: claim.id, resource, chunk, runAttempt: claim.runAttempt });
  }
}

/** Ends this run if a fenced write found that another process has taken it over. */
export async function ours(written: Promise<boolean>): Promise<void> {
  if (!(await written)) throw new LeaseLostError('the run is no longer ours');
}
