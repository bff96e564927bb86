import { randomUUID } from 'node:crypto';
import { formatLsn, type Lsn } from '../../../shared/domain/lsn.ts';
import { createTableRecords } from '../../../shared/kafka/capture-tables.ts';
import type { KafkaClient } from '../../../shared/kafka/kafka-client.ts';
import type { CaptureStateMessage, MessageCodec } from '../../../shared/kafka/messages.ts';
import { GROUP_SETTINGS } from '../../../shared/kafka/run-consumer.ts';
import { readTypeHeader, toTypeHeader } from '../../../shared/protocol/headers.ts';
import { type CaptureProgress, fromCaptureState } from './capture-progress.ts';
import type { ProducerPool } from './publisher.ts';

/** Why changes may be missing from the feed. */
export type GapReason =
  | 'slot_missing'
  | 'slot_lost'
  | 'slot_ahead'
  | 'timeline_changed'
  | 'other_system'
  | 'change_unsendable'
  | 'tables_lost';

const REMEDIES: Record<GapReason, string> = {
  slot_missing: 'The slot is gone: make it again with `tandem source prepare`, and start capture once more.',
  slot_lost:
    'The server has removed WAL that was not read yet: raise max_slot_wal_keep_size, drop the slot with ' +
    'pg_drop_replication_slot, make it again with `tandem source prepare`, and start capture once more.',
  slot_ahead: 'The slot was made again, or was read by another program: nothing else may use it.',
  timeline_changed:
    'The source was promoted or restored: it may lack the last commits of the old primary, which subscribers may ' +
    'have received.',
  other_system:
    'This is another database cluster, whose positions mean other things: set DATABASE_URL back if the feed should ' +
    'follow the old one.',
  change_unsendable:
    'It is larger than 1 GB as text (a bytea counts twice), or has a character that UTF-8 lacks: correct the row, so that no ' +
    'later change sends it. The rest of its transaction is lost with it.',
  tables_lost:
    'The topic was truncated, made again, or restored from older data. If a table was altered since then, nothing would show it.',
};

/**
 * Continuing would leave a gap in the feed, so capture never does it by itself. An operator accepts the gap with the
 * position in the message. Capture then tells every subscriber that each resource needs a new export.
 */
export class GapPossibleError extends Error {
  override readonly name = 'GapPossibleError';
  readonly reason: GapReason;
  /** Everything at or before this position is in the topic. */
  readonly passedLsn: Lsn;

  constructor(reason: GapReason, slotName: string, passedLsn: Lsn, found: string) {
    super(
      `gap possible: the feed of slot ${slotName} stands at ${formatLsn(passedLsn)}, but ${found}. ` +
        `${REMEDIES[reason]} To go on ${reason === 'change_unsendable' ? 'behind the transaction' : 'from where the slot is then'}, ` +
        `with feed.reset for every resource, start capture once with ACCEPT_GAP_AFTER=${formatLsn(passedLsn)}.`,
    );
    this.reason = reason;
    this.passedLsn = passedLsn;
  }
}

/** The source and its slot, read while this instance holds the slot. */
export interface SourcePosition {
  readonly systemId: string;
  readonly timeline: number;
  readonly confirmedFlushLsn: Lsn;
}

/** How the feed starts: for the first time, where it ended, or after a gap that an operator has accepted. */
export type Start =
  | { readonly kind: 'first' }
  | { readonly kind: 'resume'; readonly stored: CaptureProgress }
  | { readonly kind: 'after_gap'; readonly stored: CaptureProgress };

/**
 * @param acceptedGapAfter the position after which an operator has accepted a gap, or the commit behind which capture
 * has moved the slot
 * @throws GapPossibleError when changes between the stored state and the slot's position may be lost
 */
export function classifyStart(
  slotName: string,
  stored: CaptureProgress | undefined,
  source: SourcePosition,
  acceptedGapAfter: Lsn | undefined,
): Start {
  if (stored === undefined) return { kind: 'first' };
  const gap = findGap(stored, source);
  if (gap === undefined) return { kind: 'resume', stored };
  const { confirmedFlushLsn } = source;
  const isPassedOver =
    acceptedGapAfter !== undefined &&
    acceptedGapAfter > stored.passedLsn &&
    gap.reason === 'slot_ahead' &&
    confirmedFlushLsn === behindCommit(acceptedGapAfter);
  if (acceptedGapAfter === stored.passedLsn || isPassedOver) return { kind: 'after_gap', stored };
  throw new GapPossibleError(gap.reason, slotName, stored.passedLsn, gap.found);
}

function findGap(
  stored: CaptureProgress,
  { systemId, timeline, confirmedFlushLsn }: SourcePosition,
): { reason: GapReason; found: string } | undefined {
  if (stored.systemId !== systemId) {
    const found = `the source's system identifier is ${systemId} and was ${stored.systemId}`;
    return { reason: 'other_system', found };
  }
  if (stored.timeline !== timeline) {
    const found = `the source's timeline is ${timeline} and was ${stored.timeline}`;
    return { reason: 'timeline_changed', found };
  }
  if (confirmedFlushLsn > stored.passedLsn) {
    const found = `the slot gives only what comes after ${formatLsn(confirmedFlushLsn)}`;
    return { reason: 'slot_ahead', found };
  }
  if (stored.areTablesLost !== true) return undefined;
  return { reason: 'tables_lost', found: 'a record of its tables is gone from the topic of capture' };
}

/**
 * The position behind a transaction that can't be sent, by the LSN of its commit record. Later than `publishedTo`,
 * because the first changes of the transaction may have been published.
 */
export function behindCommit(commitLsn: Lsn): Lsn {
  return commitLsn + 2n;
}

/**
 * The position behind everything that was published, including the first changes of an unfinished transaction. A commit
 * record is longer than a byte, so no other commit starts there.
 */
export function publishedTo({
  passedLsn,
  lastCommitLsn,
}: Pick<CaptureProgress, 'passedLsn' | 'lastCommitLsn'>): Lsn {
  return lastCommitLsn < passedLsn ? passedLsn : lastCommitLsn + 1n;
}

/**
 * The state of a feed that starts at `passedLsn`. Nothing settles before every transaction with an ID at that moment
 * has ended: one that committed before `passedLsn` is not in the feed, and may not be visible yet.
 *
 * @param stored of the feed before the gap, if any
 * @param nextXid above every transaction ID assigned before the source was at `passedLsn`
 */
export function startAnew(
  stored: CaptureProgress | undefined,
  { systemId, timeline }: SourcePosition,
  passedLsn: Lsn,
  nextXid: bigint,
): CaptureProgress {
  return {
    systemId,
    timeline,
    passedLsn,
    unsettled: [],
    unsettledXmin: nextXid,
    snapshot: '',
    // After a gap every resource is reset, whatever its table was.
    tables: new Map(),
    // A gap corrects nothing.
    setAsides: stored?.setAsides ?? [],
    lastCommitLsn: stored?.lastCommitLsn ?? 0n,
    lastIndex: stored?.lastIndex ?? -1,
    settledLsn: stored?.settledLsn ?? 0n,
  };
}

export interface ResumeDeps {
  readonly kafka: KafkaClient;
  readonly producers: ProducerPool;
  readonly codec: MessageCodec;
  /** The capture topic, which has one partition. */
  readonly topic: string;
  readonly slotName: string;
  /** Prefix of the consumer groups for these reads. Each group is used once and removed. */
  readonly groupPrefix: string;
}

const BARRIER_TYPE = 'CaptureBarrier';

/**
 * The state is usually within the last few records. After many failed starts their barriers come behind it, and each
 * try reads further back.
 */
const FIRST_WINDOW_RECORDS = 300n;
const WINDOW_GROWTH = 30n;

/** Time limit of one read. Then the session fails and starts again. */
const READ_TIMEOUT_MS = 60_000;

/**
 * The state of the last committed Kafka transaction of any instance; undefined when there is none. It belongs to the
 * feed and not to a slot: another SLOT_NAME continues the same topics, or finds a gap.
 *
 * 1. Every producer writes a barrier. That fences earlier instances and aborts their open transactions, so that only
 *    this instance can commit after the barrier.
 * 2. `tandem.capture` is read as committed up to the last barrier. A `read_committed` reader passes the barrier only
 *    once all transactions before it are decided.
 * 3. The records that the state refers to are read where they are. Nobody can replace them any more.
 */
export async function readLastState(deps: ResumeDeps): Promise<CaptureProgress | undefined> {
  const { kafka, producers, topic, slotName } = deps;
  const barrierId = randomUUID();
  let barrierOffset = 0n;
  for (let index = 0; index < producers.count; index += 1) {
    const messages = [
      { key: `${slotName}/barrier`, value: barrierId, headers: toTypeHeader(BARRIER_TYPE), partition: 0 },
    ];
    const [written] = await producers.publish([[{ topic, messages }]]);
    barrierOffset = BigInt(written?.baseOffset ?? written?.offset ?? 0);
  }
  const firstOffset = await readFirstOffset(kafka, topic);
  for (let window = FIRST_WINDOW_RECORDS; ; window *= WINDOW_GROWTH) {
    const wanted = barrierOffset - window;
    const from = wanted > firstOffset ? wanted : firstOffset;
    const state = await readStates(deps, from, barrierOffset);
    if (state !== undefined) {
      return fromCaptureState(state, await createTableRecords(kafka, deps.codec, topic).of(state));
    }
    if (from === firstOffset) return undefined;
  }
}

async function readFirstOffset(kafka: KafkaClient, topic: string): Promise<bigint> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    const [partition] = await admin.fetchTopicOffsets(topic);
    return BigInt(partition?.low ?? 0);
  } finally {
    await admin.disconnect();
  }
}

type StateMessage = Parameters<MessageCodec['decode']>[0];

/** The last state between two offsets. The record at `to` exists and ends the read. */
async function readStates(
  { kafka, codec, topic, groupPrefix }: ResumeDeps,
  from: bigint,
  to: bigint,
): Promise<CaptureStateMessage | undefined> {
  const groupId = `${groupPrefix}.${randomUUID()}`;
  const consumer = kafka.consumer({ groupId, ...GROUP_SETTINGS });
  const finished = Promise.withResolvers<void>();
  const timer = setTimeout(
    () => finished.reject(new Error(`offset ${to} of ${topic} was not reached in ${READ_TIMEOUT_MS} ms`)),
    READ_TIMEOUT_MS,
  );
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    finished.reject(new Error(`reading ${topic}`, { cause: payload.error }));
  });
  let last: StateMessage | undefined;
  try {
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: false });
    await consumer.run({
      autoCommit: false,
      eachMessage: async ({ message }) => {
        const offset = BigInt(message.offset);
        if (offset <= to && readTypeHeader(message.headers) === 'CaptureState') last = message;
        if (offset >= to) finished.resolve();
      },
    });
    consumer.seek({ topic, partition: 0, offset: String(from) });
    await finished.promise;
    // Only the last one counts: an earlier one may have a schema that the registry lost. Outside of the consumer, which would
    // repeat a message that cannot be read.
    const decoded = last && (await codec.decode(last));
    return decoded?.type === 'CaptureState' ? decoded.value : undefined;
  } finally {
    clearTimeout(timer);
    await consumer.disconnect();
    await removeGroup(kafka, groupId);
  }
}

/** A leftover group is harmless: the broker removes it after its retention. */
async function removeGroup(kafka: KafkaClient, groupId: string): Promise<void> {
  const admin = kafka.admin();
  try {
    await admin.connect();
    await admin.deleteGroups([groupId]);
  } catch {
    return;
  } finally {
    await admin.disconnect();
  }
}
