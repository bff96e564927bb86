import { showFinding } from '../../shared/catalog/finding.ts';
import { RoutesLostError } from '../../shared/control/route-generations.ts';
import type { Catalog } from '../../shared/domain/catalog.ts';
import { formatLsn } from '../../shared/domain/lsn.ts';
import type { AvroSchemaJson, RegisteredSchema } from '../../shared/kafka/registry.ts';
import type { Queryable } from '../../shared/postgres/queryable.ts';
import type { Subjects } from '../../shared/protocol/names.ts';
import { SetupError } from '../../shared/runtime/errors.ts';
import type { Log } from '../../shared/runtime/log.ts';
import { createNotifier } from '../../shared/runtime/notifier.ts';
import { backoffMs } from '../../shared/runtime/retry.ts';
import { sleep } from '../../shared/runtime/sleep.ts';
import { causesOf, classifyTransient } from '../../shared/runtime/transient.ts';
import type { Worker } from '../../shared/runtime/worker.ts';
import { TableMisfitError } from './aside/misfits.ts';
import { type CaptureLoopDeps, runCaptureLoop } from './capture-loop.ts';
import { changeMessages, createBatch } from './changes/collect-changes.ts';
import { CommitStalledError } from './changes/fill-unchanged.ts';
import { resetFor } from './changes/row-changes.ts';
import { describeForReset } from './changes/tables.ts';
import type { CaptureProgress } from './publish/capture-progress.ts';
import {
  createChangeChain,
  createPublisher,
  openProducerPool,
  type ProducerPool,
  type Publisher,
} from './publish/publisher.ts';
import {
  behindCommit,
  classifyStart,
  GapPossibleError,
  publishedTo,
  readLastState,
  type SourcePosition,
  startAnew,
} from './publish/resume.ts';
import { createTableListing } from './publish/table-records.ts';
import { passWal } from './replication/advance-wal.ts';
import {
  checkSlotKind,
  readNextXid,
  readSlot,
  SlotHeldError,
  SourceLostError,
} from './replication/source-queries.ts';
import { openWalStream, StreamLostError, UnsendableChangeError } from './replication/stream.ts';
import { RoutesStaleError, TransactionToRepeatError } from './routes/route-errors.ts';
import type { SessionConfig, SessionDeps } from './session-deps.ts';

/** Interval at which a standby checks whether the slot is free. Bounds the time of a takeover. */
const STANDBY_INTERVAL_MS = 500;
const RETRY = { initialMs: 200, maxMs: 10_000 };
/** After a session of this length, the next failure starts at the first delay again. */
const GOOD_SESSION_MS = 30_000;

export interface CaptureDeps {
  /** Runs the feed until the signal aborts or an error ends it; `onStreaming` is called once it streams. */
  readonly runSession: (onStreaming: () => void, signal: AbortSignal) => Promise<void>;
  readonly log: Log;
}

/**
 * Runs one session after another. While another instance holds the slot, this one is on standby and counts as ready, so
 * that a rolling update does not wait for it.
 */
export function createCaptureWorker({ runSession, log }: CaptureDeps): Worker {
  const ready = Promise.withResolvers<void>();
  return {
    name: 'capture',
    ready: ready.promise,
    async run(signal) {
      let failureCount = 0;
      let isStandingBy = false;
      while (!signal.aborted) {
        const startedAtMs = Date.now();
        try {
          await runSession(() => {
            isStandingBy = false;
            ready.resolve();
          }, signal);
        } catch (error) {
          if (signal.aborted) return;
          switch (classifySessionError(error)) {
            case 'stop':
              // A separate log event for alerts: this failure does not pass by itself.
              if (error instanceof GapPossibleError) {
                const { reason, passedLsn } = error;
                log.error('gap.possible', { reason, passedLsn: formatLsn(passedLsn), error });
              }
              throw error;
            case 'wait':
              ready.resolve();
              if (!isStandingBy)
                log.info('slot.held', { error, remedy: 'none needed: this instance stands by' });
              isStandingBy = true;
              await sleep(STANDBY_INTERVAL_MS, signal);
              break;
            case 'retry': {
              if (Date.now() - startedAtMs > GOOD_SESSION_MS) failureCount = 0;
              const delayMs = backoffMs(failureCount, RETRY);
              (failureCount > 5 ? log.error : log.warn)('session.failed', { error, failureCount, delayMs });
              failureCount += 1;
              await sleep(delayMs, signal);
            }
          }
        }
      }
    },
  };
}

/**
 * `wait`: another instance is active. `retry`: a transient error outside of this process. `stop`: an operator has to
 * act, or it is a bug.
 */
export type SessionFailure = 'wait' | 'retry' | 'stop';

const PASSING_ERRORS = [
  StreamLostError,
  SourceLostError,
  CommitStalledError,
  TableMisfitError,
  RoutesLostError,
  RoutesStaleError,
  TransactionToRepeatError,
];

export function classifySessionError(error: unknown): SessionFailure {
  for (const link of causesOf(error)) {
    if (link instanceof SlotHeldError) return 'wait';
    if (PASSING_ERRORS.some((passing) => link instanceof passing)) return 'retry';
  }
  const transient = classifyTransient(error);
  if (transient === 'in_use') return 'wait';
  // A new password needs a restart.
  return transient === undefined || transient === 'credentials' ? 'stop' : 'retry';
}

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
 * @throws SetupError when there is no slot to start with
 */
export async function runSession(
  config: SessionConfig,
  deps: SessionDeps,
  signal: AbortSignal,
): Promise<void> {
  const { source, log } = deps;
  await using cleanup = new AsyncDisposableStack();
  const notifier = createNotifier();

  const openPoolForReading = async () => {
    const producers = cleanup.adopt(await openProducerPool(deps.kafka, config.transactionalId), (each) =>
      each.close(),
    );
    return { producers, stored: await readStored(config, deps, producers) };
  };

  // If a topic was deleted since the last session, every publish would fail.
  await deps.ensureTopics();
  const slot = await readSlot(source, config.slotName);
  if (slot === undefined || slot.isLost) {
    const { stored } = await openPoolForReading();
    throw slotGone(config.slotName, slot === undefined, stored);
  }
  checkSlotKind(config.slotName, slot);
  if (slot.activePid !== null) throw new SlotHeldError(config.slotName, slot.activePid);
  const stream = cleanup.adopt(await openWalStream(config, notifier.notify), (each) => each.close());

  const { producers, stored } = await openPoolForReading();
  if (stored === undefined && deps.unfitForStart.length > 0) {
    throw new SetupError('the catalog does not fit the source', deps.unfitForStart.map(showFinding));
  }
  // Read again: another instance may have moved the slot before this one acquired it.
  const held = await readSlot(source, config.slotName);
  const found = {
    systemId: stream.systemId,
    timeline: stream.timeline,
    confirmedFlushLsn: held?.confirmedFlushLsn ?? 0n,
  };
  const chain = createChangeChain(stored?.chain, Date.now());
  const tables = createTableListing(deps.catalog, stored);
  const publisher = createPublisher({ ...deps, ...config, producers, chain, tables });
  const progress = await startFeed(found, stored, { config, deps, publisher }, signal);
  log.info('feed.started', {
    slot: config.slotName,
    isFirstStart: stored === undefined,
    passedLsn: formatLsn(progress.passedLsn),
    settledLsn: formatLsn(progress.settledLsn),
    lastCommitLsn: formatLsn(progress.lastCommitLsn),
  });
  deps.onStreaming();
  const isResumed = progress === stored;
  try {
    await runCaptureLoop({ config, deps, stream, publisher, notifier, progress, isResumed }, signal);
  } catch (error) {
    if (!(error instanceof UnsendableChangeError)) throw error;
    await stream.close();
    await passUnsendable(error, config, deps);
  }
}

/**
 * Moves the slot behind a transaction that the server can't send, if an operator has accepted that. The next session
 * then finds the slot ahead, and announces the gap.
 *
 * @throws GapPossibleError if nobody has accepted it
 */
async function passUnsendable(
  { message, commitLsn, xid }: UnsendableChangeError,
  { slotName, acceptedGapAfter }: SessionConfig,
  { source, log }: SessionDeps,
): Promise<void> {
  if (acceptedGapAfter !== commitLsn) {
    throw new GapPossibleError('change_unsendable', slotName, commitLsn, message);
  }
  const target = formatLsn(behindCommit(commitLsn));
  // The server decodes the changes without sending them.
  await source.query('select pg_replication_slot_advance($1, $2::pg_lsn)', [slotName, target]);
  log.warn('slot.advanced', { slot: slotName, xid, to: target });
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
  if (start.kind === 'after_gap' && from <= publishedTo(start.stored)) {
    from = await passWal(source, publishedTo(start.stored), signal);
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

export interface GapDeps {
  readonly source: Queryable;
  readonly catalog: Catalog;
  readonly changesPartitionCount: number;
  readonly register: (subject: string, schema: AvroSchemaJson) => Promise<RegisteredSchema>;
  readonly subjects: Subjects;
  readonly log: Log;
}

/**
 * Tells every account that each resource needs a new export, at a place just before what the slot still sends.
 * Published together with the new position, so that it is announced exactly once.
 */
async function announceGap(
  progress: CaptureProgress,
  publisher: Publisher,
  { catalog, changesPartitionCount, log, ...deps }: GapDeps,
): Promise<CaptureProgress> {
  const batch = createBatch();
  // The last byte that the slot does not send any more: after everything published, before everything to come.
  const commitLsn = progress.passedLsn - 1n;
  for (const [index, resource] of catalog.resources.entries()) {
    const table = await describeForReset(resource, { ...deps, catalogName: catalog.name });
    const place = {
      lsn: commitLsn,
      commitLsn,
      xid: 0n,
      index,
      committedAtMicros: BigInt(Date.now()) * 1_000n,
      bulkJobId: null,
    };
    const change = { ...resetFor('changes_lost'), resource: resource.name, source: place };
    batch.changes.push(...changeMessages(table, change, changesPartitionCount));
  }
  const announced = { ...progress, lastCommitLsn: commitLsn, lastIndex: catalog.resources.length - 1 };
  await publisher.publish(batch, announced);
  log.warn('gap.accepted', {
    passedLsn: formatLsn(progress.passedLsn),
    resourceCount: catalog.resources.length,
  });
  return announced;
}
