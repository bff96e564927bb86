import { isDeepStrictEqual } from 'node:util';
import { catalogFingerprints } from '../../../shared/catalog/catalog-fingerprint.ts';
import {
  beginReading,
  type ReadSince,
  readLatestReplayed,
  readReading,
  showReading,
} from '../../../shared/control/exports/chunked-reading.ts';
import { finishRun, noteAllPlanned } from '../../../shared/control/exports/export-run.ts';
import { type Resource, tablesReadFor, withAncestors } from '../../../shared/domain/catalog.ts';
import { formatLsn, type Lsn, parseLsn } from '../../../shared/domain/lsn.ts';
import { formatSnapshot } from '../../../shared/domain/snapshot.ts';
import { LeaseLostError } from '../../../shared/runtime/lease-renewer.ts';
import { createNotifier } from '../../../shared/runtime/notifier.ts';
import { readTypedKey } from '../as-of/as-of-queries.ts';
import { assertCovered, awaitAsOf } from '../as-of/find-cut.ts';
import { assertPastKnown, requireOwnAccounts } from '../as-of/open-as-of.ts';
import { readImageConditions } from '../as-of/select-image.ts';
import { awaitChainRecorded, awaitRecorded, keptAlive } from '../changes-since/await-recorded.ts';
import { assertComplete } from '../chunked/assert-complete.ts';
import { areEventsKept } from '../chunked/changed-records.ts';
import { mergeChanges } from '../chunked/merge-changes.ts';
import { whySingle } from '../chunked/why-single.ts';
import { ExportFailedError, SingleSnapshotNeededError } from '../extraction-errors.ts';
import { readReferences } from '../plan/references.ts';
import { type RowSelection, readRequest, resourceOf } from '../plan/row-selection.ts';
import {
  assertColumnsThere,
  type FormsByResource,
  formsOf,
  readForms,
  readRunFacts,
} from '../plan/table-forms.ts';
import type { SourceSession } from '../source/source-session.ts';
import { assertSameColumns } from './assert-same-columns.ts';
import {
  assertSameTimeline,
  awaitRoutes,
  awaitSettledFeed,
  createFeedWatch,
  createSettleWatch,
  type FeedWatch,
  isSettledPast,
  MAX_POLL_MS,
} from './await-feed.ts';
import { planAll } from './plan-chunked.ts';
import {
  createOpen,
  createWait,
  ours,
  type RunExportConfig,
  type RunExportDeps,
  type RunHandle,
  sealRun,
  type WaitWhile,
} from './run-parts.ts';
import {
  assertSameServer,
  lookAtSnapshot,
  makeSeenDurable,
  sendHeartbeat,
  takeSnapshot,
} from './take-snapshot.ts';
import { tellOutOfOrder } from './tell-out-of-order.ts';

/**
 * One run of a chunked export. No transaction lasts longer than a chunk's read. For the proof see "Tables too large for
 * one transaction" in services/hand-off.md.
 *
 *   1. The sealing session opens, and stays open to the end.
 *   2. The snapshot P is stored with the tables' forms. It is not held. A run after a lost one continues with its P
 *      and its chunks.
 *   3. Chunks are planned in short steps, and each is read under a snapshot of its own, which sees what P saw.
 *   4. When all are read, the snapshot S is stored and sealed like any other. It sees what every chunk saw.
 *   5. Once the events up to the seal are recorded, the last event of each record that S sees and P did not decides.
 *      The writer replaces the rows read by those records. With as_of, the events around the cut decide.
 *
 * @throws SingleSnapshotNeededError when the events can't make the files exact
 */
export async function runChunked(
  run: RunHandle,
  config: RunExportConfig,
  deps: RunExportDeps,
): Promise<void> {
  const { claim } = run;
  const { control, log } = deps;
  const request = readRequest(claim.request);
  const resources = claim.resources.map((name) => resourceOf(deps.catalog, name));
  // The catalog may have changed since the kind was decided.
  const whyNot = whySingle(request, resources, claim.accountId);
  if (whyNot !== undefined) throw new SingleSnapshotNeededError(whyNot);
  const { as_of: asOf } = request;
  if (asOf !== null) requireOwnAccounts(resources);
  const startedAtMs = Date.now();

  await using cleanup = new AsyncDisposableStack();
  const open = createOpen(run, cleanup, deps.openSession, config);
  const sealing = await open(`seal ${claim.id}`);
  await deps.refusals.assertFit(sealing.client, resources);
  const feed = createFeedWatch(sealing.identity, config.feedTimeoutMs);
  const notifier = createNotifier();
  cleanup.defer(deps.notifiers.onChange(claim.id, notifier.notify));
  const settledLsn = await awaitSettledFeed(run, sealing, feed, notifier, config, deps);
  await awaitRoutes(run, deps.catalog, resources, control, notifier, config.settleTimeoutMs);
  const waitWhile = createWait(run, notifier, [sealing]);

  const tablesRead = withAncestors(resources);
  if (asOf !== null) {
    await awaitAsOf(sealing, asOf, () => notifier.wait(MAX_POLL_MS, run.signal));
    const facts = await readRunFacts(sealing, tablesRead, config.publicationName);
    // Checked now as well as at the end, which may be hours away.
    await assertPastKnown(control, claim, asOf, sealing, resources, facts);
  }
  const reading = await openReading(run, sealing, settledLsn, resources, config, deps);
  await ours(showReading(control, claim));
  const references = request.include_related ? await readReferences(sealing, resources) : [];
  const selections = resources.map((resource) => ({
    resource,
    request,
    accountSourceId: claim.accountSourceId,
    references,
  }));
  await assertReadableFromEvents(claim, sealing, selections, deps);
  const openPlanner = createOpen(
    run,
    cleanup,
    (options) => deps.readSessions.open(`${claim.id}/plan`, options, undefined),
    config,
  );
  const planner = await openPlanner(`plan ${claim.id}`);
  await planAll(run, planner, selections, waitWhile, config, deps);
  await planner[Symbol.asyncDispose]();
  await ours(noteAllPlanned(control, claim));
  await waitWhile(({ openChunkCount }) => openChunkCount > 0);
  const readMs = Date.now() - startedAtMs;

  await awaitReplayed(claim.id, sealing, feed, waitWhile, config, deps);
  const startLsn = (await deps.readFeedState())?.settledLsn ?? settledLsn;
  const seen = await lookAtSnapshot(sealing);
  const facts = await readRunFacts(sealing, tablesRead, config.publicationName);
  const formsAtEnd = formsOf(tablesRead, facts);
  const sealed = { seen, startLsn, tableForms: formsAtEnd };
  await waitWhile(await sealRun(claim, sealing, sealed, feed, deps));
  await assertSameServer(sealing);
  assertSameTimeline(await deps.readFeedState(), sealing.identity);
  await assertSameColumns(control, claim, formsAtEnd);

  const recording = { ...deps, feedTimeoutMs: config.feedTimeoutMs, waitWhile };
  await awaitRecorded(recording);
  await awaitChainRecorded(control, claim, recording);
  const snapshot = formatSnapshot(seen.snapshot);
  if (asOf !== null) await assertPastKnown(control, claim, asOf, sealing, resources, facts);
  const { catalog } = deps;
  const read = { ...reading, snapshot, facts, resources, tablesRead, asOf };
  await assertComplete(claim, read, { control, catalog, session: sealing });
  let changedCount = 0;
  for (const selection of selections) {
    const merge = mergeChanges(claim, selection, {
      control,
      session: sealing,
      resourceRows: deps.resourceRows,
      snapshot,
      check: run.check,
    });
    changedCount += (await keptAlive(merge, { waitWhile })).changed;
  }
  // Checked last, because a day of events may be dropped at any time.
  if (!(await areEventsKept(control, claim))) {
    throw new SingleSnapshotNeededError('Some events since the reading began are no longer retained.');
  }
  if (asOf !== null) await assertCovered(control, claim, asOf);
  await tellOutOfOrder(sealing, control, claim, resources, seen, startLsn, log);
  await ours(finishRun(control, claim));
  log.info('export.extracted', { changedCount, readMs, durationMs: Date.now() - startedAtMs });
}

/** @throws SingleSnapshotNeededError for a key, or a condition of the selection, that can't be read from events */
async function assertReadableFromEvents(
  { id, runAttempt }: RunHandle['claim'],
  session: SourceSession,
  selections: readonly RowSelection[],
  { resourceRows }: RunExportDeps,
): Promise<void> {
  const resources = selections.map(({ resource }) => resource);
  const rowsOf = await resourceRows.ofAll(`${id}/${runAttempt}/chunked`, resources, session, resources);
  for (const selection of selections) {
    const { shape } = rowsOf.get(selection.resource.name)?.codec ?? {};
    if (shape === undefined) throw new Error(`the rows of ${selection.resource.name} are not described`);
    try {
      await readTypedKey(session, selection.resource);
      await readImageConditions(selection, shape.rowType, shape, session);
    } catch (error) {
      if (!(error instanceof ExportFailedError) || error.code !== 'invalid_request') throw error;
      throw new SingleSnapshotNeededError(error.message, { cause: error });
    }
  }
}

/**
 * Waits until the feed has settled past what a replica had replayed. The replica may show a commit that no snapshot on
 * the primary sees yet; after the wait every later snapshot sees it.
 *
 * @throws ExportFailedError when open transactions keep the feed from settling for too long
 */
async function awaitReplayed(
  exportId: string,
  sealing: SourceSession,
  feed: FeedWatch,
  waitWhile: WaitWhile,
  { settleTimeoutMs: timeoutMs }: RunExportConfig,
  { control, readFeedState, log }: RunExportDeps,
): Promise<void> {
  const replayed = await readLatestReplayed(control, exportId);
  if (replayed === null) return;
  const lsn = parseLsn(replayed);
  await sendHeartbeat(sealing);
  const settling = createSettleWatch({ exportId, timeoutMs, source: sealing, log });
  await waitWhile(async () => {
    const state = await readFeedState();
    if (isSettledPast(state, sealing.identity, lsn)) return false;
    feed.check(state);
    await settling.check();
    return true;
  });
}

interface OpenReading {
  readonly since: ReadSince;
  readonly tableForms: FormsByResource;
}

/** Continues the read of a lost run on this server and with this catalog, or starts one. */
async function openReading(
  { claim, signal }: RunHandle,
  sealing: SourceSession,
  settledLsn: Lsn,
  resources: readonly Resource[],
  { publicationName }: RunExportConfig,
  { control, log }: RunExportDeps,
): Promise<OpenReading> {
  const known = await readReading(control, claim);
  if (known === undefined) throw new LeaseLostError('the run is no longer ours');
  const { systemId, timeline } = sealing.identity;
  const catalog = catalogFingerprints(resources);
  const isSameServer = known.since?.systemId === systemId && known.since.timeline === timeline;
  if (known.since !== null && isSameServer && isDeepStrictEqual(known.since.catalog, catalog)) {
    log.info('export.reading_goes_on', { exportId: claim.id });
    return { since: known.since, tableForms: readForms(known.tableForms) };
  }
  // The tables are locked, so the forms are those under the snapshot.
  const held = await takeSnapshot(sealing, tablesReadFor(resources), signal);
  const tablesRead = withAncestors(resources);
  const facts = await readRunFacts(sealing, tablesRead, publicationName);
  assertColumnsThere(tablesRead, facts);
  const tableForms = formsOf(tablesRead, facts);
  await sealing.query('commit');
  await makeSeenDurable(sealing);
  const since: ReadSince = {
    snapshot: formatSnapshot(held.snapshot),
    lsn: held.lsn,
    startLsn: formatLsn(settledLsn),
    systemId,
    timeline,
    takenAt: held.takenAt,
    catalog,
  };
  await ours(beginReading(control, claim, since, tableForms));
  return { since, tableForms };
}
