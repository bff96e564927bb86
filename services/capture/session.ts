import type { Kafka } from 'kafkajs';
import type { Catalog } from '../../shared/domain/catalog.ts';
import type { Change } from '../../shared/domain/change.ts';
import { formatLsn, type Lsn } from '../../shared/domain/lsn.ts';
import { widenXid } from '../../shared/domain/snapshot.ts';
import type { MessageCodec } from '../../shared/kafka/messages.ts';
import type { AvroSchemaJson } from '../../shared/kafka/registry.ts';
import type { Topics } from '../../shared/kafka/topics.ts';
import type { Queryable } from '../../shared/postgres/queryable.ts';
import { createDoorbell } from '../../shared/runtime/doorbell.ts';
import { SetupError } from '../../shared/runtime/errors.ts';
import type { Log } from '../../shared/runtime/log.ts';
import { loadTypes } from '../../shared/values/load-types.ts';
import { announceGap } from './changes/announce-gap.ts';
import { changeMessages } from './changes/change-messages.ts';
import { createMessageCompleter } from './changes/complete-messages.ts';
import type { ResetTable } from './changes/reset-table.ts';
import { createTables, type EncodableTable } from './changes/tables.ts';
import { createTransactions } from './changes/transactions.ts';
import { GapPossibleError } from './gap-possible-error.ts';
import type { CaptureProgress } from './progress/capture-progress.ts';
import { readLastState } from './progress/resume.ts';
import { createSettling } from './progress/settled.ts';
import { judgeStart, type SourcePosition, startAnew } from './progress/start-point.ts';
import { addSeals, createBatch, isEmpty } from './publish/batch.ts';
import { type Lanes, openLanes } from './publish/lanes.ts';
import { createPublisher, type Publisher } from './publish/publisher.ts';
import { beat } from './source/heartbeat.ts';
import { passWal } from './source/pass-wal.ts';
import { pollSnapshots, readNextXid, readSnapshot } from './source/poll-snapshots.ts';
import { checkSlotKind, readSlot, SlotHeldError } from './source/slot.ts';
import { openWalStream, type WalStream } from './source/stream.ts';
import { watchTables } from './source/watch-tables.ts';

export interface SessionConfig {
  readonly databaseUrl: string;
  readonly slotName: string;
  readonly publicationName: string;
  readonly transactionalId: string;
  readonly acceptedGapAfter: Lsn | undefined;
  readonly maxQueuedBytes: number;
  readonly maxMessageBytes: number;
  readonly heartbeatIntervalMs: number;
}

export interface SessionDeps {
  readonly source: Queryable;
  readonly kafka: Kafka;
  readonly codec: MessageCodec;
  readonly catalog: Catalog;
  readonly topics: Topics;
  readonly changesPartitionCount: number;
  readonly register: (subject: string, schema: AvroSchemaJson) => Promise<number>;
  readonly subjectPrefix: string;
  readonly log: Log;
  readonly onStreaming: () => void;
}

/**
 * One Kafka transaction takes this much at most; a source transaction may need many. The Kafka client groups messages
 * by partition in quadratic time: 500 cost it less than a millisecond, 2,000 more than all the rest of their way.
 */
const MAX_BATCH_ENTRIES = 500;
const MAX_BATCH_BYTES = 4 * 1024 * 1024;
/** How often a position is published that moved by a transaction without changes, which an export may be waiting for. */
const NEWS_PUBLISH_INTERVAL_MS = 100;
/**
 * How often one is that moved by WAL of no concern. Where the control store is on the same server its own writes are such
 * WAL, those that follow from publishing among them, and so they would go round for ever.
 */
const QUIET_PUBLISH_INTERVAL_MS = 1_000;
const WAIT_MS = 1_000;

/**
 * Holds the slot and carries the feed until the signal aborts, or something breaks. It keeps nothing that the next
 * session needs: whatever went wrong, a new one starts from the last committed Kafka transaction.
 *
 * 1. Take hold of the slot. Only its holder may publish, so this comes before fencing.
 * 2. Fence earlier instances, and read how far they came.
 * 3. Check that the slot still gives everything after that.
 * 4. Stream: decode, publish with the position in one Kafka transaction, confirm to the slot.
 *
 * @throws SlotHeldError when another process has the slot
 * @throws GapPossibleError when changes may have been lost
 * @throws SetupError when there is no slot to begin with
 */
export async function runSession(
  config: SessionConfig,
  deps: SessionDeps,
  signal: AbortSignal,
): Promise<void> {
  const { source, log } = deps;
  await using stack = new AsyncDisposableStack();
  const doorbell = createDoorbell();

  const openLanesForReading = async () => {
    const lanes = stack.adopt(await openLanes(deps.kafka, config.transactionalId), (each) => each.close());
    return { lanes, stored: await readStored(config, deps, lanes) };
  };

  const slot = await readSlot(source, config.slotName);
  if (slot === undefined || slot.isLost) {
    const { stored } = await openLanesForReading();
    throw slotGone(config.slotName, slot === undefined, stored);
  }
  checkSlotKind(config.slotName, slot);
  if (slot.activePid !== null) throw new SlotHeldError(config.slotName, slot.activePid);
  const stream = stack.adopt(await openWalStream(config, doorbell.ring), (each) => each.close());

  const { lanes, stored } = await openLanesForReading();
  // Read again: until it was ours, another instance may have moved it.
  const held = await readSlot(source, config.slotName);
  const found = {
    systemId: stream.systemId,
    timeline: stream.timeline,
    confirmedFlushLsn: held?.confirmedFlushLsn ?? 0n,
  };
  const publisher = createPublisher({ ...deps, ...config, lanes });
  const progress = await startFeed(found, stored, { config, deps, publisher }, signal);
  log.info('feed.started', {
    slot: config.slotName,
    isFirstStart: stored === undefined,
    passedLsn: formatLsn(progress.passedLsn),
    settledLsn: formatLsn(progress.settledLsn),
  });
  deps.onStreaming();
  await carry({ config, deps, stream, publisher, doorbell, progress }, signal);
}

/** Where the feed goes on from. Behind an accepted gap every subscriber is told first. */
async function startFeed(
  found: SourcePosition,
  stored: CaptureProgress | undefined,
  { config, deps, publisher }: Pick<Carriage, 'config' | 'deps' | 'publisher'>,
  signal: AbortSignal,
): Promise<CaptureProgress> {
  const { source } = deps;
  const start = judgeStart(config.slotName, stored, found, config.acceptedGapAfter);
  if (start.kind === 'resume') return start.stored;
  let from = found.confirmedFlushLsn;
  // Positions only grow, also from one server to the next: what comes behind the gap comes behind all that was told.
  if (start.kind === 'after_gap' && from <= start.stored.passedLsn) {
    from = await passWal(source, start.stored.passedLsn, signal);
  }
  const progress = startAnew(stored, found, from, await readNextXid(source));
  return start.kind === 'first' ? progress : announceGap(progress, publisher, deps);
}

function readStored(
  { slotName, transactionalId }: SessionConfig,
  { kafka, codec, topics }: SessionDeps,
  lanes: Lanes,
): Promise<CaptureProgress | undefined> {
  const groupPrefix = `${transactionalId}.resume`;
  return readLastState({ kafka, lanes, codec, topic: topics.capture, slotName, groupPrefix });
}

function slotGone(slotName: string, isMissing: boolean, stored: CaptureProgress | undefined): Error {
  if (stored === undefined) {
    return new SetupError(
      `the replication slot ${slotName} ${isMissing ? 'does not exist' : 'has lost its WAL'}: run \`tandem source prepare\``,
    );
  }
  return isMissing
    ? new GapPossibleError('slot_missing', slotName, stored.passedLsn, 'the slot does not exist')
    : new GapPossibleError('slot_lost', slotName, stored.passedLsn, 'the slot has lost its WAL');
}

interface Carriage {
  readonly config: SessionConfig;
  readonly deps: SessionDeps;
  readonly stream: WalStream;
  readonly publisher: Publisher;
  readonly doorbell: ReturnType<typeof createDoorbell>;
  readonly progress: CaptureProgress;
}

/** The loop: what has arrived becomes one Kafka transaction; meanwhile the next lot arrives. Nothing waits to fill up. */
async function carry(
  { config, deps, stream, publisher, doorbell, progress }: Carriage,
  signal: AbortSignal,
): Promise<void> {
  const { source, log } = deps;
  const settling = createSettling(progress, await readSnapshot(source));
  const tables = createTables({ ...deps, loadTypes: () => loadTypes(source) });
  let { passedLsn, lastCommitLsn, lastIndex } = progress;
  const identities = new Map(progress.tables);
  const completer = createMessageCompleter({ ...deps, tables });
  let transactionCount = 0;
  let batch = createBatch();

  const addChange = (change: Change, table: ResetTable) => {
    for (const message of changeMessages(table, change, deps.changesPartitionCount)) {
      batch.changes.push(message);
      batch.bytes += message.value.length;
    }
    lastCommitLsn = change.source.commitLsn;
    lastIndex = change.source.index;
  };
  const transactions = createTransactions<EncodableTable>(progress, {
    table: tables.find,
    widenXid: (xid) => widenXid(xid, settling.xmax),
    onChange: addChange,
    onReset(change, identity) {
      const table = completer.resetTable(change.resource);
      if (table === undefined) return;
      addChange(change, table);
      identities.set(change.resource, identity);
    },
    onEnd(transaction) {
      transactionCount += 1;
      hasNews = true;
      passedLsn = transaction.endLsn;
      if (transaction.changeCount > 0) settling.add(transaction);
      addSeals(batch, transaction);
    },
  });

  let publishedPassedLsn = -1n;
  let publishedSettledLsn = -1n;
  let publishedAtMs = 0;
  let hasNews = false;
  const publish = async () => {
    const startedAtMs = performance.now();
    const { systemId, timeline } = progress;
    const settled = settling.state(passedLsn);
    const position = { systemId, timeline, passedLsn, lastCommitLsn, lastIndex };
    await publisher.publish(batch, { ...position, ...settled, tables: identities });
    stream.confirm(passedLsn);
    log.debug('batch.published', {
      changeCount: batch.changes.length,
      bytes: batch.bytes,
      passedLsn: formatLsn(passedLsn),
      settledLsn: formatLsn(settled.settledLsn),
      unsettledCount: settled.unsettled.length,
      durationMs: Math.round(performance.now() - startedAtMs),
    });
    publishedPassedLsn = passedLsn;
    publishedSettledLsn = settled.settledLsn;
    publishedAtMs = Date.now();
    // What is not settled yet will be, without a transaction coming by.
    hasNews = settling.hasUnsettled;
    batch = createBatch();
  };
  const dueAtMs = () => publishedAtMs + (hasNews ? NEWS_PUBLISH_INTERVAL_MS : QUIET_PUBLISH_INTERVAL_MS);
  const isStateDue = () =>
    Date.now() >= dueAtMs() &&
    (passedLsn !== publishedPassedLsn || settling.state(passedLsn).settledLsn !== publishedSettledLsn);

  const side = new AbortController();
  const sideSignal = AbortSignal.any([signal, side.signal]);
  // None of these rejects, and none is waited for: a query on a connection that has fallen silent takes its time to give up,
  // which must not hold up the next session.
  void pollSnapshots(
    {
      db: source,
      isBusy: () => settling.hasUnsettled,
      onSnapshot(snapshot) {
        settling.look(snapshot);
        doorbell.ring();
      },
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

  void watchTables(
    {
      db: source,
      catalog: deps.catalog,
      publicationName: config.publicationName,
      known: () => identities,
      adopt: (resource, identity) => identities.set(resource, identity),
      log,
    },
    sideSignal,
  );
  try {
    while (!signal.aborted) {
      const entries = stream.take(MAX_BATCH_ENTRIES, MAX_BATCH_BYTES);
      for (const entry of entries) {
        if (entry.kind === 'keepalive') {
          // Inside a transaction the server speaks of WAL behind it, while the changes in it are still to come.
          if (!transactions.isOpen && entry.walEnd > passedLsn) passedLsn = entry.walEnd;
          continue;
        }
        const { message } = entry;
        transactions.push(
          completer.isIncomplete(message) ? await completer.complete(message) : message,
          entry.lsn,
        );
      }
      if (!isEmpty(batch) || isStateDue()) await publish();
      else if (entries.length === 0) await doorbell.wait(waitMs(dueAtMs()), signal);
    }
  } finally {
    side.abort();
  }
}

/** Until a moved position may be published; what arrives rings before. */
function waitMs(dueAtMs: number): number {
  const untilDueMs = dueAtMs - Date.now();
  return untilDueMs > 0 ? untilDueMs : WAIT_MS;
}
