import type { Admin } from 'kafkajs';
import type { Pool } from 'pg';
import { chunkAttemptKey, findCurrentChunks } from '../../../shared/control/chunks/chunk-attempts.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { runRounds } from '../../../shared/runtime/run-rounds.ts';
import type { Worker } from '../../../shared/runtime/worker.ts';
import type { BatchWriter } from './batch-writer.ts';
import { rowsMissing } from './chunk-failures.ts';
import { LogEnds } from './log-ends.ts';
import type { Part } from './part.ts';
import type { OpenChunk, PartitionState, PartitionStates } from './partition-states.ts';

/** Parts of a cancelled export have to go within seconds. */
const WATCH_EVERY_MS = 2_000;

export interface ChunkWatchDeps {
  readonly pool: Pool;
  readonly admin: Pick<Admin, 'fetchTopicOffsets'>;
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
