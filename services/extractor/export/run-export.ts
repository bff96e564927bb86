import type { Pool } from 'pg';
import {
  addChunks,
  finishPlanning,
  finishRun,
  type PlannedChunk,
  type RunStatus,
  recordSnapshot,
} from '../../../shared/control/exports/export-run.ts';
import type { ClaimedExport } from '../../../shared/control/exports/queue-exports.ts';
import {
  type Catalog,
  parentOf,
  type Resource,
  tablesReadFor,
  withAncestors,
} from '../../../shared/domain/catalog.ts';
import { formatLsn } from '../../../shared/domain/lsn.ts';
import { formatSnapshot } from '../../../shared/domain/snapshot.ts';
import type { RecordedChanges } from '../../../shared/kafka/recorded-changes.ts';
import { LeaseLostError } from '../../../shared/runtime/lease-renewer.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { createNotifier, type Notifier } from '../../../shared/runtime/notifier.ts';
import { awaitAsOf } from '../as-of/find-cut.ts';
import { makeKeyTables, openAsOf } from '../as-of/open-as-of.ts';
import { findBase } from '../changes-since/find-base.ts';
import { openChangesSince } from '../changes-since/open-changes-since.ts';
import { ExportFailedError } from '../extraction-errors.ts';
import type { Notifiers } from '../notifiers.ts';
import { planByKeys, planResources } from '../plan/plan-chunks.ts';
import { readReferences } from '../plan/references.ts';
import type { Refusals } from '../plan/refusals.ts';
import type { ResourceRowsSource } from '../plan/resource-rows.ts';
import { readRequest, resourceOf } from '../plan/row-selection.ts';
import { assertColumnsThere, assertSameTypes, formsOf, readRunFacts } from '../plan/table-forms.ts';
import type { OpenSourceSession, SourceSession } from '../source/source-session.ts';
import { readFeedState } from '../store/feed-state.ts';
import {
  assertSameTimeline,
  awaitRoutes,
  awaitSettledFeed,
  createFeedWatch,
  isSettledPast,
  MAX_POLL_MS,
  pollIntervalMs,
} from './await-feed.ts';
import {
  assertSameServer,
  type HeldSnapshot,
  newSealToken,
  readInsertLsn,
  sendSeal,
  takeSnapshot,
} from './take-snapshot.ts';
import { tellOutOfOrder } from './tell-out-of-order.ts';

export interface RunExportDeps {
  readonly control: Pool;
  readonly openSession: OpenSourceSession;
  readonly catalog: Catalog;
  readonly notifiers: Notifiers;
  readonly resourceRows: ResourceRowsSource;
  readonly refusals: Refusals;
  readonly log: Log;
  /** A snapshot is held from now on. @returns what to call once it is not; more calls change nothing */
  readonly holdSnapshot: () => () => void;
  /** Only for changes-since and as-of exports. */
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
}

/** A run's claim on its export; the holder renews the lease. */
export interface RunHandle {
  readonly claim: ClaimedExport;
  readonly signal: AbortSignal;
  /** Ends the run with a reason. */
  abort(reason: Error): void;
  /** @throws the reason when the run has ended */
  check(): Promise<Extract<RunStatus, { state: 'held' }>>;
}

/** Well under the minute after which the server ends a session that is idle in its transaction. */
const KEEP_ALIVE_MS = 10_000;

/** The seal and the feed's state are in different topics, so a rebalance of the mirror's group may delay the seal. */
const SEAL_AGAIN_MS = 20_000;

/**
 * One run of an export, from its claim until everything is read and sealed. The order is the point:
 *
 *   1. The sealing session opens, and stays open to the end.
 *   2. The feed has settled past the beginning of the account's recording; W is its settled position.
 *   3. The holder locks the tables and takes the snapshot S, then L; S, W and the seal's token are stored in one update.
 *   4. The seal is sent.
 *   5. Chunks are planned under S, a window at a time, and read by every extractor.
 *   6. When all are read the holder lets S go; when the feed has passed the seal, the run is done.
 *
 * A changes-since or as-of export waits for its seal before step 5, because the events up to the seal decide what it reads.
 *
 * If either session breaks, the run ends and the caller starts a new one, with a new snapshot.
 */
export async function runExport(run: RunHandle, config: RunExportConfig, deps: RunExportDeps): Promise<void> {
  const { claim, signal } = run;
  const { control, log } = deps;
  const request = readRequest(claim.request);
  const resources = claim.resources.map((name) => resourceOf(deps.catalog, name));
  const startedAtMs = Date.now();

  await using cleanup = new AsyncDisposableStack();
  const open = async (purpose: string) => {
    const session = await deps.openSession({
      purpose,
      statementTimeoutMs: config.planTimeoutMs,
      onLost: run.abort,
    });
    cleanup.use(session);
    // Does not wait for a running statement, which may sort a whole table.
    signal.addEventListener('abort', () => session[Symbol.asyncDispose](), { once: true });
    signal.throwIfAborted();
    return session;
  };
  const { changes_since: changesSince, as_of: asOf } = request;
  if (asOf !== null) requireOwnAccounts(resources);
  const sealing = await open(`seal ${claim.id}`);
  await deps.refusals.assertFit(sealing.client, resources);
  const base =
    changesSince === null
      ? undefined
      : await findBase(control, changesSince, claim.accountId, sealing.identity);
  const feed = createFeedWatch(sealing.identity, config.feedTimeoutMs);
  const notifier = createNotifier();
  cleanup.defer(deps.notifiers.onChange(notifier.notify));

  const startLsn = await awaitSettledFeed(run, sealing, feed, control, notifier, {
    settleTimeoutMs: config.settleTimeoutMs,
    log,
  });
  await awaitRoutes(run, deps.catalog, resources, control, notifier, config.settleTimeoutMs);
  const holder = await open(`snapshot ${claim.id}`);
  assertOneServer(sealing, holder);
  if (asOf !== null) {
    await awaitAsOf(holder, asOf, () => notifier.wait(MAX_POLL_MS, signal));
    await makeKeyTables(holder, resources.length);
  }
  const held = await takeSnapshot(holder, tablesReadFor(resources), signal);
  const letSnapshotGo = deps.holdSnapshot();
  cleanup.defer(letSnapshotGo);
  const tablesRead = withAncestors(resources);
  const facts = await readRunFacts(holder, tablesRead, config.publicationName);
  assertColumnsThere(tablesRead, facts);
  const tableForms = formsOf(tablesRead, facts);
  const sealToken = newSealToken();
  await ours(
    recordSnapshot(control, claim, {
      takenAt: held.takenAt,
      lsn: held.lsn,
      xmin: held.snapshot.xmin.toString(),
      xmax: held.snapshot.xmax.toString(),
      xip: held.snapshot.xip.map(String),
      startLsn: formatLsn(startLsn),
      sealToken,
      tableForms,
      ...holder.identity,
    }),
  );
  await sendSeal(sealing, claim.id, sealToken);

  const waitWhile = createWait(run, notifier, [sealing, holder]);
  let sealSentLsn = await readInsertLsn(sealing);
  let passedAtMs: number | undefined;
  const isUnsealed = async ({ isSealed }: { isSealed: boolean }) => {
    if (isSealed) return false;
    const state = await readFeedState(control);
    feed.check(state);
    if (!isSettledPast(state, sealing.identity, sealSentLsn)) return true;
    passedAtMs ??= Date.now();
    if (Date.now() - passedAtMs < SEAL_AGAIN_MS) return true;
    // Kafka has lost the seal. A later one of this run is as good, because its session was open before the snapshot.
    log.warn('seal.sent_again', { exportId: claim.id });
    await sendSeal(sealing, claim.id, sealToken);
    sealSentLsn = await readInsertLsn(sealing);
    passedAtMs = undefined;
    return true;
  };
  if (base !== undefined || asOf !== null) await waitWhile(isUnsealed);
  const byEvents = {
    ...config,
    ...deps,
    holder,
    resources,
    facts,
    snapshot: formatSnapshot(held.snapshot),
    waitWhile,
  };
  const changes = base && (await openChangesSince(claim, base, byEvents));
  const past = asOf === null ? undefined : await openAsOf(claim, asOf, byEvents);
  const references = request.include_related ? await readReferences(holder, resources) : [];
  const selections = resources.map((resource) => ({
    resource,
    request,
    accountSourceId: claim.accountSourceId,
    references,
  }));
  const byKeys = changes ?? past;
  const groups =
    byKeys === undefined
      ? planResources(holder, selections, config.chunkBytes)
      : planByKeys(holder, selections, config.chunkBytes, byKeys);
  let chunkCount = 0;
  let rowCount = 0;
  const withRows = new Set<string>();
  for await (const { chunks, areWhole } of groups) {
    signal.throwIfAborted();
    await addPlanned(run, held, chunks, deps);
    chunkCount += chunks.length;
    for (const { resource, rows } of chunks) {
      withRows.add(resource);
      rowCount += rows;
    }
    if (!areWhole) await waitWhile(({ openChunkCount }) => openChunkCount >= config.chunkWindow);
  }
  // Readers describe only tables with rows, but a file without rows has columns too.
  const withoutRows = resources.filter(({ name }) => !withRows.has(name));
  await deps.resourceRows.ofAll(`${claim.id}/${claim.runAttempt}`, withoutRows, holder, resources);
  await ours(finishPlanning(control, claim));
  await waitWhile(({ openChunkCount }) => openChunkCount > 0);
  await assertSameTypes(sealing, tablesRead, config.publicationName, tableForms);
  const readMs = Date.now() - startedAtMs;
  // The snapshot holds back vacuum, and the seal may take a while.
  await holder[Symbol.asyncDispose]();
  letSnapshotGo();

  const waitForSeal = createWait(run, notifier, [sealing]);
  await waitForSeal(isUnsealed);
  await assertSameServer(sealing);
  assertSameTimeline(await readFeedState(control), sealing.identity);
  await tellOutOfOrder(sealing, control, claim, resources, held, startLsn, log);
  await finishRun(control, claim);
  log.info('export.extracted', { chunkCount, rowCount, readMs, durationMs: Date.now() - startedAtMs });
}

/** @throws ExportFailedError for resources whose records have the account of their parent: nobody notes the past of its table for them */
function requireOwnAccounts(resources: readonly Resource[]): void {
  const children = resources.filter((resource) => parentOf(resource) !== undefined);
  if (children.length === 0) return;
  throw new ExportFailedError(
    'invalid_request',
    `${children.map(({ name }) => name).join(', ')} have the account of another resource, ` +
      'so exports with as_of are not possible.',
  );
}

/** Waits while a condition on the run's status holds, and keeps the sessions alive. */
function createWait(run: RunHandle, notifier: Notifier, sessions: readonly SourceSession[]) {
  let keptAliveAtMs = Date.now();
  type Found = Awaited<ReturnType<RunHandle['check']>>;
  return async (mustWait: (found: Found) => boolean | Promise<boolean>): Promise<void> => {
    const waitingSinceMs = Date.now();
    for (;;) {
      run.signal.throwIfAborted();
      if (Date.now() - keptAliveAtMs >= KEEP_ALIVE_MS) {
        for (const session of sessions) await session.query('select 1');
        keptAliveAtMs = Date.now();
      }
      const found = await run.check();
      if (!(await mustWait(found))) return;
      // A chunk that is read here notifies; a seal comes through another process.
      const isSealAwaited = !found.isSealed && found.openChunkCount === 0;
      const pollMs = isSealAwaited ? pollIntervalMs(Date.now() - waitingSinceMs) : MAX_POLL_MS;
      await notifier.wait(pollMs, run.signal);
    }
  };
}

async function addPlanned(
  { claim }: RunHandle,
  held: HeldSnapshot,
  chunks: readonly PlannedChunk[],
  { control, notifiers, announceChunk }: RunExportDeps,
): Promise<void> {
  await ours(addChunks(control, claim, held.name, chunks));
  notifiers.chunks.notify();
  for (const { resource, chunk } of chunks) {
    announceChunk({ exportId: claim.id, resource, chunk, runAttempt: claim.runAttempt });
  }
}

/** Ends this run if a fenced write found that another process has taken it over. */
async function ours(written: Promise<boolean>): Promise<void> {
  if (!(await written)) throw new LeaseLostError('the run is no longer ours');
}

function assertOneServer(sealing: SourceSession, holder: SourceSession): void {
  const [a, b] = [sealing.identity, holder.identity];
  if (a.systemId === b.systemId && a.timeline === b.timeline) return;
  throw new ExportFailedError(
    'source_refused',
    'Two connections to the source reached different servers: set DATABASE_URL to one primary.',
  );
}
