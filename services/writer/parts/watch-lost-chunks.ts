import type { Admin } from 'kafkajs';
import type { Pool } from 'pg';
import { chunkAttemptKey, findUnwrittenChunks } from '../../../shared/control/chunks/chunk-attempts.ts';
import { failByChunk } from '../../../shared/control/exports/end-export.ts';
import type { Topics } from '../../../shared/kafka/topics.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { runRounds } from '../../../shared/runtime/run-rounds.ts';
import type { Worker } from '../../../shared/runtime/worker.ts';
import { rowsMissing } from './chunk-failures.ts';
import { LogEnds, type TopicEnd } from './log-ends.ts';

const WATCH_EVERY_MS = 3_000;

export interface LostChunkWatchDeps {
  readonly pool: Pool;
  readonly admin: Pick<Admin, 'fetchTopicOffsets' | 'fetchOffsets'>;
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
        { restMs: WATCH_EVERY_MS, onFailed },
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
