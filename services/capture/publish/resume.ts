import { randomUUID } from 'node:crypto';
import type { Kafka } from 'kafkajs';
import type { CaptureStateMessage, MessageCodec } from '../../../shared/kafka/messages.ts';
import { GROUP_SETTINGS } from '../../../shared/kafka/run-consumer.ts';
import { toTypeHeader } from '../../../shared/protocol/headers.ts';
import { type CaptureProgress, fromCaptureState } from './capture-progress.ts';
import type { ProducerPool } from './producer-pool.ts';

export interface ResumeDeps {
  readonly kafka: Kafka;
  readonly producers: ProducerPool;
  readonly codec: MessageCodec;
  /** The capture topic, which has one partition. */
  readonly topic: string;
  readonly slotName: string;
  /** Prefix of the consumer groups that this reads with; each is used once and removed. */
  readonly groupPrefix: string;
}

const BARRIER_TYPE = 'CaptureBarrier';

/**
 * The state is within the last few records, unless barriers of many failed starts lie behind it; then each try looks
 * further back.
 */
const FIRST_WINDOW_RECORDS = 300n;
const WINDOW_GROWTH = 30n;

/** For one look; then the session fails and starts anew. */
const READ_TIMEOUT_MS = 60_000;

/**
 * The state of the last committed Kafka transaction of any instance; undefined when there is none. It belongs to the
 * feed and not to a slot: another SLOT_NAME continues the same topics, or finds a gap.
 *
 * 1. Every producer writes a barrier. That fences earlier instances and aborts their open transactions, so that only
 *    this instance can commit after the barrier.
 * 2. `tandem.capture` is read as committed up to the last barrier. A `read_committed` reader passes the barrier only
 *    once all transactions before it are decided.
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
    if (state !== undefined) return fromCaptureState(state);
    if (from === firstOffset) return undefined;
  }
}

async function readFirstOffset(kafka: Kafka, topic: string): Promise<bigint> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    const [partition] = await admin.fetchTopicOffsets(topic);
    return BigInt(partition?.low ?? 0);
  } finally {
    await admin.disconnect();
  }
}

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
  let last: CaptureStateMessage | undefined;
  try {
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: false });
    await consumer.run({
      autoCommit: false,
      eachMessage: async ({ message }) => {
        const offset = BigInt(message.offset);
        if (offset <= to) {
          const decoded = await codec.decode(message);
          if (decoded?.type === 'CaptureState') last = decoded.value;
        }
        if (offset >= to) finished.resolve();
      },
    });
    consumer.seek({ topic, partition: 0, offset: String(from) });
    await finished.promise;
    return last;
  } finally {
    clearTimeout(timer);
    await consumer.disconnect();
    await removeGroup(kafka, groupId);
  }
}

/** A leftover group is harmless: the broker removes it after its retention. */
async function removeGroup(kafka: Kafka, groupId: string): Promise<void> {
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
