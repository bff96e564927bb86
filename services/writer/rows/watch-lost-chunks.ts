import type { Admin } from 'kafkajs';
import type { Pool } from 'pg';
import type { Topics } from '../../../shared/kafka/topics.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { sleep } from '../../../shared/runtime/sleep.ts';
import type { Worker } from '../../../shared/runtime/worker.ts';
import { failByChunk } from '../store/fail-export.ts';
import { findUnwrittenChunks } from '../store/find-unwritten-chunks.ts';
import { rowsMissing } from './chunk-failures.ts';
import { chunkTryKey } from './chunk-try.ts';
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
 * Finds chunks of which no row came at all, though their reader had all of them acknowledged: the topic lost them, by
 * retention while no writer ran or by an unclean election. Without this their export would run for ever.
 *
 * The group's committed offsets never pass an open chunk, so once they have passed the topic's end as it was after the
 * reader was done, a chunk that is still not written is lost. The order of the looks matters: chunk, end, offsets, chunk.
 */
export function createLostChunkWatch(deps: LostChunkWatchDeps): Worker {
  const { pool, admin, groupId, topics, onFailed, log } = deps;
  const ends = new LogEnds(admin);

  async function watch(): Promise<void> {
    for (const chunkTry of await findUnwrittenChunks(pool)) {
      const topic = topics.rows(chunkTry.resource);
      const end = await ends.notedFor(chunkTryKey(chunkTry), topic);
      const committed = await admin.fetchOffsets({ groupId, topics: [topic] });
      const offsets = new Map(
        committed.flatMap(({ partitions }) =>
          partitions.map(({ partition, offset }) => [partition, BigInt(offset)] as const),
        ),
      );
      if (!hasPassed(offsets, end)) continue;
      const failure = rowsMissing(chunkTry, 0, 'no more');
      if (!(await failByChunk(pool, chunkTry, failure))) continue;
      log.error('export.failed', { ...chunkTry, ...failure });
      onFailed();
    }
    ends.forgetUnasked();
  }

  return {
    name: 'lost-chunk-watch',
    async run(signal) {
      while (!signal.aborted) {
        await sleep(WATCH_EVERY_MS, signal);
        try {
          await watch();
        } catch (error) {
          log.warn('lost_chunks.not_watched', { error });
        }
      }
    },
  };
}

/** Whether every partition is read up to its end. A partition that never had a record has no committed offset. */
export function hasPassed(committed: ReadonlyMap<number, bigint>, end: TopicEnd): boolean {
  return [...end].every(
    ([partition, offset]) => offset === 0n || (committed.get(partition) ?? -1n) >= offset,
  );
}
