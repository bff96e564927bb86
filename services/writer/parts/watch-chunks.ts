import type { Pool } from 'pg';
import {
  chunkAttemptKey,
  findCurrentChunks,
  findUnwrittenChunks,
} from '../../../shared/control/chunks/chunk-attempts.ts';
import { failByChunk } from '../../../shared/control/exports/end-export.ts';
import type { KafkaAdmin } from '../../../shared/kafka/kafka-client.ts';
import type { Topics } from '../../../shared/kafka/topics.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { runRounds } from '../../../shared/runtime/run-rounds.ts';
import type { Worker } from '../../../shared/runtime/worker.ts';
import type { BatchWriter } from './batch-writer.ts';
import { rowsMissing } from './chunk-failures.ts';
import type { Part } from './part.ts';
import type { OpenChunk, PartitionState, PartitionStates } from './partition-states.ts';

// Watches for chunks that no row will close: obsolete ones, and those whose rows the topic lost.

/** Parts of a cancelled export have to go within seconds. */
const WATCH_EVERY_MS = 2_000;

export interface ChunkWatchDeps {
  readonly pool: Pool;
  readonly admin: Pick<KafkaAdmin, 'fetchTopicOffsets'>;
  readonly partitionStates: PartitionStates;
  readonly writer: BatchWriter;
  readonly commitFloor: (partitionState: PartitionState) => Promise<void>;
  readonly log: Log;
}

/**
 * Closes open chunks that no row will close: those of an ended export or a replaced attempt, for which the group's offset would
 * wait forever, and those whose reader got all rows acknowledged while the topic lacks the last ones. Rows are lost for certain
 * once the consumer has passed the topic's end offset as of after the read, or once those records are deleted.
 */
export function createChunkWatch(deps: ChunkWatchDeps): Worker {
  const { pool, admin, partitionStates, writer, commitFloor, log } = deps;
  const ends = new LogEnds(admin);

  async function watch(): Promise<void> {
    const open = partitionStates
      .all()
      .flatMap((partitionState) => partitionState.chunks.all().map((chunk) => ({ partitionState, chunk })));
    if (open.length === 0) return;
    const states = await findCurrentChunks(
      pool,
      open.map(({ chunk }) => chunk.chunkAttempt),
    );
    for (const [index, { partitionState, chunk }] of open.entries()) {
      const state = states[index];
      if (state?.isCurrent === false) {
        await closing(partitionState, chunk, () => writer.drop(partitionState, chunk));
      } else if (state?.isExtracted === true && (await isPassed(partitionState, chunk))) {
        const failure = rowsMissing(chunk.chunkAttempt, chunk.nextSeq, 'no more');
        await closing(partitionState, chunk, () => writer.giveUp(partitionState, chunk, failure));
      }
    }
    for (const partitionState of new Set(open.map(({ partitionState }) => partitionState)))
      await commitFloor(partitionState);
  }

  async function isPassed(
    partitionState: PartitionState,
    { chunkAttempt }: OpenChunk<Part>,
  ): Promise<boolean> {
    const key = chunkAttemptKey(chunkAttempt);
    const end = await ends.recordedEnd(key, partitionState.topic);
    if (partitionState.chunks.position >= (end.get(partitionState.partition) ?? 0n)) return true;
    return ends.isGone(key, partitionState.topic, partitionState.partition);
  }

  return {
    name: 'chunk-watch',
    run(signal) {
      const onFailed = (error: unknown) => log.warn('chunks.not_watched', { error });
      return runRounds(
        () => watch().finally(() => ends.forgetUnasked()),
        { restMs: WATCH_EVERY_MS, onFailed },
        signal,
      );
    },
  };
}

/** Checks again under the lock: a batch may have closed the chunk, or the group revoked the partition. */
function closing(
  partitionState: PartitionState,
  chunk: OpenChunk<Part>,
  close: () => Promise<void>,
): Promise<void> {
  return partitionState.exclusive(async () => {
    if (partitionState.chunks.has(chunk)) await close();
  });
}

const WATCH_LOST_EVERY_MS = 3_000;

export interface LostChunkWatchDeps {
  readonly pool: Pool;
  readonly admin: Pick<KafkaAdmin, 'fetchTopicOffsets' | 'fetchOffsets'>;
  readonly groupId: string;
  readonly topics: Topics;
  readonly onFailed: () => void;
  readonly log: Log;
}

/**
 * Finds chunks without a single row in the topic, though their reader got all rows acknowledged: the topic lost them, by
 * retention while no writer ran or by an unclean leader election. Without this their export would run forever.
 *
 * The group's committed offsets never pass an open chunk. Once they have passed the topic's end offset as of after the read, a
 * chunk that is still unwritten is lost. The order of the queries matters: chunk, end, offsets, chunk. Offsets do not pass
 * deleted records, and a recreated topic has none: then the topic's present offsets decide.
 */
export function createLostChunkWatch(deps: LostChunkWatchDeps): Worker {
  const { pool, admin, groupId, topics, onFailed, log } = deps;
  const ends = new LogEnds(admin);
  /** Most chunks are written by the next round, which saves the requests to Kafka about them. */
  let unwrittenBefore = new Set<string>();

  async function readCommitted(topic: string): Promise<ReadonlyMap<number, bigint>> {
    const found = await admin.fetchOffsets({ groupId, topics: [topic] });
    return new Map(
      found.flatMap(({ partitions }) =>
        partitions.map(({ partition, offset }) => [partition, BigInt(offset)] as const),
      ),
    );
  }

  async function watch(): Promise<void> {
    const ofTopics = new Map<string, Promise<ReadonlyMap<number, bigint>>>();
    /** Read after the ends of the topic's chunks in this round. */
    const committedOf = (topic: string) => {
      const offsets = ofTopics.get(topic) ?? readCommitted(topic);
      ofTopics.set(topic, offsets);
      return offsets;
    };
    const unwritten = await findUnwrittenChunks(pool);
    const waiting = unwritten.filter((chunkAttempt) => unwrittenBefore.has(chunkAttemptKey(chunkAttempt)));
    unwrittenBefore = new Set(unwritten.map(chunkAttemptKey));
    for (const chunkAttempt of waiting) {
      const topic = topics.rows(chunkAttempt.resource);
      const key = chunkAttemptKey(chunkAttempt);
      const end = await ends.recordedEnd(key, topic);
      const behind = findBehind(await committedOf(topic), end);
      const areGone = await Promise.all(behind.map((partition) => ends.isGone(key, topic, partition)));
      if (areGone.includes(false)) continue;
      const failure = rowsMissing(chunkAttempt, 0, 'no more');
      if (!(await failByChunk(pool, chunkAttempt, failure))) continue;
      log.error('export.failed', { ...chunkAttempt, ...failure });
      onFailed();
    }
  }

  return {
    name: 'lost-chunk-watch',
    run(signal) {
      const onFailed = (error: unknown) => log.warn('lost_chunks.not_watched', { error });
      return runRounds(
        () => watch().finally(() => ends.forgetUnasked()),
        { restMs: WATCH_LOST_EVERY_MS, onFailed },
        signal,
      );
    },
  };
}

/** The partitions whose committed offset is before their end. A partition without records has no committed offset. */
export function findBehind(committed: ReadonlyMap<number, bigint>, end: TopicEnd): number[] {
  return [...end]
    .filter(([partition, offset]) => offset > 0n && (committed.get(partition) ?? -1n) < offset)
    .map(([partition]) => partition);
}

/** End offsets of a topic's partitions. */
export type TopicEnd = ReadonlyMap<number, bigint>;

/** Offsets of a partition: first (`low`) and end (`high`). */
interface Bounds {
  readonly low: bigint;
  readonly high: bigint;
}

/**
 * The end offsets of a topic at the first question about a key. Once the consumer's offset has passed this end offset, a record
 * it has not seen is lost. A consumer never passes deleted records, so those are found by the topic's present offsets.
 *
 * It works in rounds, and queries Kafka once per topic and round. Ask only about records that were in the topic before the
 * round's first question.
 */
export class LogEnds {
  readonly #admin: Pick<KafkaAdmin, 'fetchTopicOffsets'>;
  #recorded = new Map<string, TopicEnd>();
  #asked = new Set<string>();
  /** Offsets of the current round, which ends with `forgetUnasked`. */
  #bounds = new Map<string, Promise<ReadonlyMap<number, Bounds>>>();
  /** Found deleted in this round, and in the one before. */
  #gone = new Set<string>();
  #goneBefore = new Set<string>();

  constructor(admin: Pick<KafkaAdmin, 'fetchTopicOffsets'>) {
    this.#admin = admin;
  }

  /** The end of `topic` as it was at the first call with this `key`. */
  async recordedEnd(key: string, topic: string): Promise<TopicEnd> {
    this.#asked.add(key);
    const known = this.#recorded.get(key);
    if (known !== undefined) return known;
    const bounds = await this.#boundsOf(topic);
    const end = new Map([...bounds].map(([partition, { high }]) => [partition, high]));
    this.#recorded.set(key, end);
    return end;
  }

  /**
   * Whether the records of a partition up to the recorded end are gone: deleted, or in a topic that was recreated. True from the
   * second round on, so that a writer has time to write what it fetched before.
   */
  async isGone(key: string, topic: string, partition: number): Promise<boolean> {
    const end = (await this.recordedEnd(key, topic)).get(partition) ?? 0n;
    const bounds = (await this.#boundsOf(topic)).get(partition);
    if (bounds === undefined || (bounds.low < end && end <= bounds.high)) return false;
    const name = `${key}/${partition}`;
    this.#gone.add(name);
    return this.#goneBefore.has(name);
  }

  /** Ends a round, and forgets the keys without a question in it. */
  forgetUnasked(): void {
    this.#recorded = new Map([...this.#recorded].filter(([key]) => this.#asked.has(key)));
    this.#asked = new Set();
    this.#bounds = new Map();
    this.#goneBefore = this.#gone;
    this.#gone = new Set();
  }

  #boundsOf(topic: string): Promise<ReadonlyMap<number, Bounds>> {
    const known = this.#bounds.get(topic);
    if (known !== undefined) return known;
    const asked = this.#admin
      .fetchTopicOffsets(topic)
      .then(
        (offsets) =>
          new Map(
            offsets.map(({ partition, low, high }) => [partition, { low: BigInt(low), high: BigInt(high) }]),
          ),
      );
    this.#bounds.set(topic, asked);
    asked.catch(() => this.#bounds.delete(topic));
    return asked;
  }
}
