import { finishRun, noteAllPlanned } from '../../../shared/control/exports/export-run.ts';
import { type Resource, tablesReadFor, withAncestors } from '../../../shared/domain/catalog.ts';
import { formatSnapshot } from '../../../shared/domain/snapshot.ts';
import { createNotifier } from '../../../shared/runtime/notifier.ts';
import { awaitAsOf } from '../as-of/find-cut.ts';
import { makeKeyTables, openAsOf, requireOwnAccounts } from '../as-of/open-as-of.ts';
import { findBase } from '../changes-since/find-base.ts';
import { openChangesSince } from '../changes-since/open-changes-since.ts';
import { ExportFailedError } from '../extraction-errors.ts';
import { planByKeys, planResources } from '../plan/plan-chunks.ts';
import { readReferences } from '../plan/references.ts';
import { readRequest, resourceOf } from '../plan/row-selection.ts';
import {
  assertColumnsThere,
  assertSameTypes,
  describeForm,
  formsOf,
  readRunFacts,
} from '../plan/table-forms.ts';
import type { SourceSession } from '../source/source-session.ts';
import { assertSameColumns } from './assert-same-columns.ts';
import {
  assertSameTimeline,
  awaitRoutes,
  awaitSettledFeed,
  createFeedWatch,
  MAX_POLL_MS,
} from './await-feed.ts';
import {
  addPlanned,
  createOpen,
  createWait,
  endWithRun,
  ours,
  type RunExportConfig,
  type RunExportDeps,
  type RunHandle,
  sealRun,
} from './run-parts.ts';
import { isSmallExport, type SharedSnapshot } from './share-sources.ts';
import { assertSameServer, takeSnapshot } from './take-snapshot.ts';
import { tellOutOfOrder } from './tell-out-of-order.ts';

/**
 * One run of an export under one snapshot, from its claim until everything is read and sealed. The order matters:
 *
 *   1. The sealing session opens, and stays open to the end.
 *   2. The feed has settled past the start of the account's recording; W is its settled position.
 *   3. The holder locks the tables and takes the snapshot S, then L. S, W and the seal's token are stored in one
 *      update.
 *   4. The seal is sent.
 *   5. Chunks are planned under S, a window at a time, and read by every extractor.
 *   6. When all are read, the holder releases S. When the feed has passed the seal and all checks agree, the run is
 *      done.
 *
 * A changes-since or as-of export waits for its seal before step 5, because the events up to the seal decide what it
 * reads.
 *
 * If either session breaks, the run ends and the caller starts a new one with a new snapshot.
 */
export async function runSingle(run: RunHandle, config: RunExportConfig, deps: RunExportDeps): Promise<void> {
  const { claim, signal } = run;
  const { control, log } = deps;
  const request = readRequest(claim.request);
  const resources = claim.resources.map((name) => resourceOf(deps.catalog, name));
  const startedAtMs = Date.now();
  run.startDeadline();

  await using cleanup = new AsyncDisposableStack();
  const open = createOpen(run, cleanup, deps.openSession, config);
  const { changes_since: changesSince, as_of: asOf } = request;
  if (asOf !== null) requireOwnAccounts(resources);
  // An export whose earlier run was lost does not share sessions, so that its fault affects no other export.
  const isFirstRun = claim.runCount === 1 && claim.failedRuns + claim.gaveWayRuns === 0;
  const isShared = isSmallExport(claim) && isFirstRun && changesSince === null && asOf === null;
  const openSealing = isShared ? createOpen(run, cleanup, deps.sharedSources.openSealing, config) : open;
  const sealing = await openSealing(`seal ${claim.id}`);
  await deps.refusals.assertFit(sealing.client, resources);
  const base =
    changesSince === null
      ? undefined
      : await findBase(control, changesSince, claim.accountId, sealing.identity);
  const feed = createFeedWatch(sealing.identity, config.feedTimeoutMs);
  const notifier = createNotifier();
  cleanup.defer(deps.notifiers.onChange(claim.id, notifier.notify));

  const startLsn = await awaitSettledFeed(run, sealing, feed, notifier, config, deps);
  await awaitRoutes(run, deps.catalog, resources, control, notifier, config.settleTimeoutMs);
  const shared = isShared ? await takeShared(run, resources, cleanup, config, deps) : undefined;
  const holder = shared?.holder ?? (await open(`snapshot ${claim.id}`));
  assertOneServer(sealing, holder);
  if (asOf !== null) {
    await awaitAsOf(holder, asOf, () => notifier.wait(MAX_POLL_MS, signal));
    await makeKeyTables(holder, resources.length);
  }
  const held = shared?.held ?? (await takeSnapshot(holder, tablesReadFor(resources), signal));
  const letSnapshotGo = deps.holdSnapshot();
  cleanup.defer(letSnapshotGo);
  const tablesRead = withAncestors(resources);
  const facts = await readRunFacts(holder, tablesRead, config.publicationName);
  assertColumnsThere(tablesRead, facts);
  deps.resourceRows.noteForm(`${claim.id}/${claim.runAttempt}`, describeForm(facts));
  const tableForms = formsOf(tablesRead, facts);
  // Keys are counted while it is stored and sent. No chunk is added before, because readers need what it stores.
  const sealed = sealRun(claim, sealing, { seen: held, startLsn, tableForms }, feed, deps);
  sealed.catch(() => undefined);

  const waitWhile = createWait(run, notifier, [sealing, holder]);
  if (base !== undefined || asOf !== null) await waitWhile(await sealed);
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
  let areAllPlanned = false;
  for await (const { chunks, areWhole, areLast } of groups) {
    signal.throwIfAborted();
    await sealed;
    await addPlanned(run, held.name, chunks, deps, areLast);
    areAllPlanned = areLast;
    chunkCount += chunks.length;
    for (const { resource, rows } of chunks) {
      withRows.add(resource);
      rowCount += rows;
    }
    if (!areWhole) await waitWhile(({ openChunkCount }) => openChunkCount >= config.chunkWindow);
  }
  const isUnsealed = await sealed;
  if (!areAllPlanned) await ours(noteAllPlanned(control, claim));
  // Readers describe only tables with rows, but a file without rows has columns too.
  const withoutRows = resources.filter(({ name }) => !withRows.has(name));
  await deps.resourceRows.ofAll(`${claim.id}/${claim.runAttempt}`, withoutRows, holder, resources);
  await waitWhile(({ openChunkCount }) => openChunkCount > 0);
  await assertSameTypes(sealing, tablesRead, config.publicationName, facts);
  const readMs = Date.now() - startedAtMs;
  // The snapshot holds back vacuum, and the seal may take a while, so the snapshot is released first.
  if (shared === undefined) {
    await holder.query('commit');
    // The key tables of an as-of export belong to the session.
    if (asOf === null) holder.leaveClean();
  }
  await holder[Symbol.asyncDispose]();
  letSnapshotGo();

  const waitForSeal = createWait(run, notifier, [sealing]);
  await waitForSeal(isUnsealed);
  await assertSameServer(sealing);
  assertSameTimeline(await deps.readFeedState(), sealing.identity);
  await assertSameColumns(control, claim, tableForms);
  await tellOutOfOrder(sealing, control, claim, resources, held, startLsn, log);
  await ours(finishRun(control, claim));
  sealing.leaveClean();
  log.info('export.extracted', { chunkCount, rowCount, readMs, durationMs: Date.now() - startedAtMs });
}

async function takeShared(
  { signal, abort }: RunHandle,
  resources: readonly Resource[],
  cleanup: AsyncDisposableStack,
  { planTimeoutMs }: RunExportConfig,
  { sharedSources }: RunExportDeps,
): Promise<SharedSnapshot | undefined> {
  const options = { purpose: 'snapshot', statementTimeoutMs: planTimeoutMs, onLost: abort };
  const shared = await sharedSources.takeSnapshot(tablesReadFor(resources), options);
  if (shared !== undefined) endWithRun(shared.holder, signal, cleanup);
  return shared;
}

function assertOneServer(sealing: SourceSession, holder: SourceSession): void {
  const [a, b] = [sealing.identity, holder.identity];
  if (a.systemId === b.systemId && a.timeline === b.timeline) return;
  throw new ExportFailedError(
    'source_refused',
    'Two connections to the source reached different servers: set DATABASE_URL to one primary.',
  );
}
