import { describeColumns } from '../../shared/catalog/describe-table.ts';
import { findResource } from '../../shared/domain/catalog.ts';
import { formatLsn } from '../../shared/domain/lsn.ts';
import { widenXid } from '../../shared/domain/snapshot.ts';
import { WAL_MESSAGES } from '../../shared/protocol/wal-messages.ts';
import { anySignal } from '../../shared/runtime/any-signal.ts';
import { createNotifier, type Notifier } from '../../shared/runtime/notifier.ts';
import { sleep } from '../../shared/runtime/sleep.ts';
import { loadTypes } from '../../shared/values/database-types.ts';
import { createMisfits } from './aside/misfits.ts';
import { createSetAsides, type SetAside, sendAsideMessage } from './aside/set-asides.ts';
import { createAccountSpellings } from './changes/captured-table.ts';
import {
  addSeals,
  createBatch,
  createChangeCollector,
  isEmpty,
  type LastBatch,
  lingerMs,
  requestLimitBytes,
} from './changes/collect-changes.ts';
import { createMessageCompleter } from './changes/complete-messages.ts';
import { createTables, type EncodableTable } from './changes/tables.ts';
import { createTransactionTraces } from './changes/trace-transactions.ts';
import { createTransactions } from './changes/transactions.ts';
import { watchRelations } from './changes/watch-relations.ts';
import { findUnfit, findUnmended, watchSetAsides } from './changes/watch-set-asides.ts';
import type { CaptureProgress } from './publish/capture-progress.ts';
import type { Publisher } from './publish/publisher.ts';
import { createSettling } from './publish/settled.ts';
import { beat } from './replication/advance-wal.ts';
import { createOidOf, identityBehind, isAnnounced } from './replication/reset-message.ts';
import { isPartitioned, pollSnapshots, readSnapshot } from './replication/source-queries.ts';
import type { WalStream } from './replication/stream.ts';
import { createTableWatch } from './replication/watch-tables.ts';
import { createRouting } from './routes/routing.ts';
import type { SessionConfig, SessionDeps } from './session-deps.ts';

/**
 * Limit of one Kafka transaction; a source transaction may need several. A row in a transaction of its own is three
 * entries. A higher limit would not be faster: at this size the Kafka transaction is the smaller cost, and encoding its
 * changes blocks the event loop for about 50 ms.
 */
const MAX_BATCH_ENTRIES = 2_000;
const MAX_BATCH_BYTES = 4 * 1024 * 1024;
/** Interval of publishing a position that moved past transactions without changes. */
const NEWS_PUBLISH_INTERVAL_MS = 100;
/** The same while the sender of a heartbeat waits: a new account's first export waits for it. */
const AWAITED_PUBLISH_INTERVAL_MS = 10;
/**
 * Interval of publishing a position that moved past irrelevant WAL. If the control store is on the same server,
 * publishing writes such WAL itself, and would trigger the next publication forever.
 */
const QUIET_PUBLISH_INTERVAL_MS = 1_000;
/**
 * The same after a while without a change or seal. Then only the slot's position waits for it, and the control store's
 * own writes would keep the broker busy every second. Whatever waits for a position sends a transaction.
 */
const RESTING_PUBLISH_INTERVAL_MS = 5_000;
const RESTS_AFTER_MS = 30_000;
const WAIT_MS = 1_000;
/** A streamed commit is usually visible within milliseconds. */
const VISIBLE_POLL_MS = 50;

export interface CaptureLoopDeps {
  readonly config: SessionConfig;
  readonly deps: SessionDeps;
  readonly stream: WalStream;
  readonly publisher: Publisher;
  readonly notifier: Notifier;
  readonly progress: CaptureProgress;
  /** The feed continues where it was, without a gap. */
  readonly isResumed: boolean;
}

/**
 * The capture loop. Everything that has arrived becomes one Kafka transaction, while the next batch arrives. A batch
 * shortly after another one waits some milliseconds for more entries.
 */
export async function runCaptureLoop(
  { config, deps, stream, publisher, notifier, progress, isResumed }: CaptureLoopDeps,
  signal: AbortSignal,
): Promise<void> {
  const { source, log } = deps;
  let { passedLsn } = progress;
  const settling = createSettling(progress, await readSnapshot(source));
  const spellings = createAccountSpellings(source);
  const identities = new Map(progress.tables);
  const oidOf = createOidOf(identities);
  const routing = createRouting({ ...deps, spellings, oidOf, publicationName: config.publicationName });
  const tables = createTables({
    ...deps,
    spellings,
    parents: routing?.parents,
    loadTypes: (oids) => loadTypes(source, oids),
    loadColumns: (resource) => describeColumns(source, resource),
    isPartitioned: (relationId) => isPartitioned(source, relationId),
    oidOf,
  });
  const setAsides = createSetAsides(
    progress.setAsides.filter(({ resource }) => findResource(deps.catalog, resource) !== undefined),
  );
  deps.onSetAsides(setAsides.all);
  const misfits = createMisfits({
    since: deps.misfitTimes,
    graceMs: config.misfitGraceMs,
    now: Date.now,
  });
  const limitBytes = requestLimitBytes(config.maxMessageBytes);
  const { publicationName } = config;
  const mendDeps = { ...deps, publicationName, limitBytes, whyUnknown: routing?.parents.whyUnknown };
  const checkAside = (aside: SetAside) => findUnmended(aside, mendDeps);
  const completer = createMessageCompleter({
    ...deps,
    tables,
    spellings,
    setAsides,
    misfits,
    findUnmended: checkAside,
    findUnfit: async (resource) => (await findUnfit([resource], mendDeps)).get(resource),
    async awaitVisible() {
      // What came before must not wait for a stalled commit.
      if (!isEmpty(batch) || isStateDue()) await publish();
      await sleep(VISIBLE_POLL_MS, signal);
      signal.throwIfAborted();
    },
  });
  const watch = createTableWatch({
    db: source,
    catalog: deps.catalog,
    publicationName: config.publicationName,
    known: () => identities,
    adopt: (resource, identity) => identities.set(resource, identity),
    log,
  });
  // Before the first position is published, so that no snapshot is older than the tables' forms that it is compared
  // with.
  await watch.check();
  const stage = await routing?.open(
    {
      progress,
      isResumed,
      widenXid: (xid) => widenXid(xid, settling.xmax),
      prepareReset: completer.prepareReset,
    },
    signal,
  );
  let transactionCount = 0;
  /** The oldest of the transactions with changes that ended since the last publication. */
  let oldestCommitMicros: bigint | undefined;
  let batch = createBatch();
  const traces = createTransactionTraces(deps.topics.changes, Date.now);
  const collector = createChangeCollector(progress, {
    setAsides,
    batch: () => batch,
    partitionCount: deps.changesPartitionCount,
    limitBytes,
    resetTable: completer.resetTable,
    misfitDetail: misfits.detailOf,
    refusalOf: completer.refusalOf,
    isMended: completer.isMended,
    now: Date.now,
    traces,
    log,
  });

  const transactions = createTransactions<EncodableTable>(progress, {
    resource: tables.resourceOf,
    table: tables.find,
    isPassedOver: setAsides.isPassedOver,
    widenXid: (xid) => widenXid(xid, settling.xmax),
    onChange: collector.add,
    onUnfit: collector.addUnfit,
    onAside: collector.addAside,
    onReset(change, reset) {
      const known = identities.get(change.resource);
      if (!isAnnounced(reset, known)) {
        if (!collector.addReset(change)) return;
        watch.forgetColumns(change.resource);
      }
      identities.set(change.resource, identityBehind(reset, known));
    },
    onAccountReset: collector.addReset,
    routing: stage,
    onEnd(transaction) {
      transactionCount += 1;
      hasNews = true;
      passedLsn = transaction.endLsn;
      if (isHeartbeat) {
        isHeartbeat = false;
        awaitedLsn = passedLsn;
        snapshotNotifier.notify();
      }
      if (transaction.changeCount > 0 || transaction.seals.length > 0) usedAtMs = Date.now();
      if (transaction.changeCount > 0) {
        settling.add(transaction);
        oldestCommitMicros ??= transaction.committedAtMicros;
      }
      addSeals(batch, transaction);
      if (transaction.seals.length > 0) setAsides.recordSeal();
    },
  });

  const watchRelation = watchRelations({
    resourceOf: tables.resourceOf,
    tableOf: tables.find,
    widenXid: (xid) => widenXid(xid, settling.xmax),
    watch,
  });
  let publishedPassedLsn = -1n;
  let publishedSettledLsn = -1n;
  let publishedAtMs = 0;
  let hasNews = false;
  /** The transaction being read contains a heartbeat. */
  let isHeartbeat = false;
  /** Position after the latest heartbeat. Its sender waits for the feed to settle past it. */
  let awaitedLsn = -1n;
  const snapshotNotifier = createNotifier();
  let usedAtMs = Date.now();
  let lastBatch: LastBatch = { commitCount: 0, startedAtMs: 0 };
  let countBefore = 0;
  const publish = async () => {
    const startedAtMs = performance.now();
    lastBatch = { commitCount: transactionCount - countBefore, startedAtMs };
    countBefore = transactionCount;
    const { systemId, timeline } = progress;
    const settled = settling.state(passedLsn);
    const position = { systemId, timeline, passedLsn, ...collector.last };
    const state = { ...position, ...settled, tables: identities, setAsides: setAsides.all() };
    await watch.settle();
    await stage?.passed(passedLsn);
    await publisher.publish(batch, state);
    stream.confirm(passedLsn);
    traces?.published(transactions.xid !== undefined);
    const durationMs = performance.now() - startedAtMs;
    deps.metrics.published({
      changeCount: batch.changes.length,
      transactionCount: lastBatch.commitCount,
      durationMs,
      lookups: routing?.counts(),
      oldestCommitMs: oldestCommitMicros === undefined ? undefined : Number(oldestCommitMicros / 1_000n),
    });
    oldestCommitMicros = undefined;
    log.debug('batch.published', {
      changeCount: batch.changes.length,
      bytes: batch.bytes,
      passedLsn: formatLsn(passedLsn),
      settledLsn: formatLsn(settled.settledLsn),
      unsettledCount: settled.unsettled.length,
      durationMs: Math.round(durationMs),
    });
    publishedPassedLsn = passedLsn;
    publishedSettledLsn = settled.settledLsn;
    publishedAtMs = Date.now();
    // Transactions settle by polling, without a further transaction in the stream.
    hasNews = settling.hasUnsettled;
    batch = createBatch();
  };
  const hasSettled = () => settling.state(passedLsn).settledLsn !== publishedSettledLsn;
  const dueAtMs = () => {
    const isAwaited = publishedSettledLsn < awaitedLsn - 1n && hasSettled();
    return publishedAtMs + publishIntervalMs(hasNews, Date.now() - usedAtMs, isAwaited);
  };
  const isStateDue = () => Date.now() >= dueAtMs() && (passedLsn !== publishedPassedLsn || hasSettled());

  const side = new AbortController();
  const sideSignal = anySignal([signal, side.signal]).signal;
  // None of these rejects, and none is awaited: a query on a dead connection takes long to time out, and must not delay
  // the next session.
  void pollSnapshots(
    {
      db: source,
      isBusy: () => settling.hasUnsettled,
      onSnapshot(snapshot) {
        settling.update(snapshot);
        notifier.notify();
      },
      notifier: snapshotNotifier,
      log,
    },
    sideSignal,
  );
  void beat(
    {
      db: source,
      intervalMs: config.heartbeatIntervalMs,
      transactionCount: () => transactionCount,
      log,
    },
    sideSignal,
  );
  void watch.run(sideSignal);
  // After a restart everything that is not published is streamed again.
  void stage?.watch(() => (publishedPassedLsn < 0n ? progress.passedLsn : publishedPassedLsn), sideSignal);
  void watchSetAsides(
    {
      asides: setAsides.all,
      refused: deps.refused,
      findUnfit: (resources) => findUnfit(resources, mendDeps),
      findUnmended: checkAside,
      send: (message) => sendAsideMessage(source, message),
      resumes: deps.resumeHistory,
      now: Date.now,
      log,
    },
    sideSignal,
  );
  try {
    while (!signal.aborted) {
      const gatherMs = lingerMs(lastBatch, performance.now());
      if (gatherMs > 0) await sleep(gatherMs, signal);
      const taken = stream.take(MAX_BATCH_ENTRIES, MAX_BATCH_BYTES);
      const entries = stage === undefined ? taken : await stage.ready(taken);
      for (const entry of entries) {
        if (entry.kind === 'keepalive') {
          // Inside a transaction, the keepalive's position is past changes that are still to come.
          if (transactions.xid === undefined && entry.walEnd > passedLsn) passedLsn = entry.walEnd;
          continue;
        }
        const { message } = entry;
        // Publishes first, so that every published state shows a resource that was set aside, however soon it resumes.
        if (message.kind === 'message' && message.prefix === WAL_MESSAGES.aside && !isEmpty(batch))
          await publish();
        if (message.kind === 'message' && message.prefix === WAL_MESSAGES.heartbeat) isHeartbeat = true;
        transactions.push(
          completer.isIncomplete(message) ? await completer.complete(message, transactions.xid) : message,
          entry.lsn,
          stage?.movedBy(message),
        );
        watchRelation(message);
      }
      if (!isEmpty(batch) || isStateDue()) await publish();
      else if (taken.length === 0) await notifier.wait(waitMs(dueAtMs()), signal);
    }
  } finally {
    side.abort();
  }
}

/**
 * @param unusedMs time since the last change or seal
 * @param isAwaited the feed has settled further, but not past a heartbeat yet
 */
export function publishIntervalMs(hasNews: boolean, unusedMs: number, isAwaited: boolean): number {
  if (isAwaited) return AWAITED_PUBLISH_INTERVAL_MS;
  if (hasNews) return NEWS_PUBLISH_INTERVAL_MS;
  return unusedMs < RESTS_AFTER_MS ? QUIET_PUBLISH_INTERVAL_MS : RESTING_PUBLISH_INTERVAL_MS;
}

/** Time until a moved position may be published; an arriving entry notifies earlier. */
function waitMs(dueAtMs: number): number {
  const untilDueMs = dueAtMs - Date.now();
  return untilDueMs > 0 ? untilDueMs : WAIT_MS;
}
