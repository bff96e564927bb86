import { showFinding } from '../../shared/catalog/finding.ts';
import { formatLsn } from '../../shared/domain/lsn.ts';
import { SetupError } from '../../shared/runtime/errors.ts';
import { createNotifier } from '../../shared/runtime/notifier.ts';
import { type CaptureLoopDeps, runCaptureLoop } from './capture-loop.ts';
import { announceGap } from './publish/announce-gap.ts';
import type { CaptureProgress } from './publish/capture-progress.ts';
import { openProducerPool, type ProducerPool } from './publish/producer-pool.ts';
import { createChangeChain, createPublisher } from './publish/publisher.ts';
import { readLastState } from './publish/resume.ts';
import { classifyStart, GapPossibleError, type SourcePosition, startAnew } from './publish/start-point.ts';
import { passWal } from './replication/advance-wal.ts';
import { readNextXid } from './replication/poll-snapshots.ts';
import { checkSlotKind, readSlot, SlotHeldError } from './replication/slot.ts';
import { openWalStream } from './replication/stream.ts';
import type { SessionConfig, SessionDeps } from './session-deps.ts';

/**
 * Holds the slot and runs the feed until the signal aborts or an error ends it. It keeps no state for the next session,
 * which starts from the last committed Kafka transaction.
 *
 * 1. Acquire the slot. Only its holder may publish, so this comes before fencing.
 * 2. Fence earlier instances, and read their last position.
 * 3. Check that the slot still has everything after that position.
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
  const notifier = createNotifier();

  const openPoolForReading = async () => {
    const producers = stack.adopt(
      await openProducerPool(deps.kafka, config.transactionalId, config.kafkaClient),
      (each) => each.close(),
    );
    return { producers, stored: await readStored(config, deps, producers) };
  };

  // A topic may have been deleted since the last session: then every publish would fail.
  await deps.ensureTopics();
  const slot = await readSlot(source, config.slotName);
  if (slot === undefined || slot.isLost) {
    const { stored } = await openPoolForReading();
    throw slotGone(config.slotName, slot === undefined, stored);
  }
  checkSlotKind(config.slotName, slot);
  if (slot.activePid !== null) throw new SlotHeldError(config.slotName, slot.activePid);
  const stream = stack.adopt(await openWalStream(config, notifier.notify), (each) => each.close());

  const { producers, stored } = await openPoolForReading();
  if (stored === undefined && deps.findings.length > 0) {
    throw new SetupError('the catalog does not fit the source', deps.findings.map(showFinding));
  }
  // Read again: another instance may have moved the slot before this one acquired it.
  const held = await readSlot(source, config.slotName);
  const found = {
    systemId: stream.systemId,
    timeline: stream.timeline,
    confirmedFlushLsn: held?.confirmedFlushLsn ?? 0n,
  };
  const chain = createChangeChain(stored?.chain, Date.now());
  const publisher = createPublisher({ ...deps, ...config, producers, chain });
  const progress = await startFeed(found, stored, { config, deps, publisher }, signal);
  log.info('feed.started', {
    slot: config.slotName,
    isFirstStart: stored === undefined,
    passedLsn: formatLsn(progress.passedLsn),
    settledLsn: formatLsn(progress.settledLsn),
    lastCommitLsn: formatLsn(progress.lastCommitLsn),
  });
  deps.onStreaming();
  await runCaptureLoop({ config, deps, stream, publisher, notifier, progress }, signal);
}

/** The position from which the feed continues. After an accepted gap, every subscriber gets a reset first. */
async function startFeed(
  found: SourcePosition,
  stored: CaptureProgress | undefined,
  { config, deps, publisher }: Pick<CaptureLoopDeps, 'config' | 'deps' | 'publisher'>,
  signal: AbortSignal,
): Promise<CaptureProgress> {
  const { source } = deps;
  const start = classifyStart(config.slotName, stored, found, config.acceptedGapAfter);
  if (start.kind === 'resume') return start.stored;
  let from = found.confirmedFlushLsn;
  // Positions only grow, even across servers: everything after the gap has to follow everything published before.
  if (start.kind === 'after_gap' && from <= start.stored.passedLsn) {
    from = await passWal(source, start.stored.passedLsn, signal);
  }
  const progress = startAnew(stored, found, from, await readNextXid(source));
  return start.kind === 'first' ? progress : announceGap(progress, publisher, deps);
}

function readStored(
  { slotName, transactionalId }: SessionConfig,
  { kafka, codec, topics }: SessionDeps,
  producers: ProducerPool,
): Promise<CaptureProgress | undefined> {
  const groupPrefix = `${transactionalId}.resume`;
  return readLastState({ kafka, producers, codec, topic: topics.capture, slotName, groupPrefix });
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
