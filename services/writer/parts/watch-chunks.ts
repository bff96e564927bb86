import type { Admin } from 'kafkajs';
import type { Pool } from 'pg';
import { chunkTryKey } from '../../../shared/control/chunks/chunk-try.ts';
import { findCurrentChunks } from '../../../shared/control/chunks/find-chunk.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { sleep } from '../../../shared/runtime/sleep.ts';
import type { Worker } from '../../../shared/runtime/worker.ts';
import type { BatchWriter } from './batch-writer.ts';
import { rowsMissing } from './chunk-failures.ts';
import type { Lane } from './lane.ts';
import type { Lanes } from './lanes.ts';
import { LogEnds } from './log-ends.ts';
import type { Part } from './part.ts';
import type { OpenChunk } from './partition-chunks.ts';

/** A cancelled export's parts are to be gone within seconds. */
const WATCH_EVERY_MS = 2_000;

export interface ChunkWatchDeps {
  readonly pool: Pool;
  readonly admin: Pick<Admin, 'fetchTopicOffsets'>;
  readonly lanes: Lanes;
  readonly writer: BatchWriter;
  readonly commitFloor: (lane: Lane) => Promise<void>;
  readonly log: Log;
}

/**
 * Closes open chunks that no row will close: those of an export that has ended or of a try that was replaced (else the
 * group's offset would wait for them for ever), and those whose reader has had all rows acknowledged while the last
 * ones are not in the topic. That rows were lost is certain once everything is read up to where the topic ended after
 * the reader was done, or is not there to be read.
 */
export function createChunkWatch(deps: ChunkWatchDeps): Worker {
  const { pool, admin, lanes, writer, commitFloor, log } = deps;
  const ends = new LogEnds(admin);

  async function watch(): Promise<void> {
    const open = lanes.all().flatMap((lane) => lane.chunks.all().map((chunk) => ({ lane, chunk })));
    if (open.length === 0) return;
    const states = await findCurrentChunks(
      pool,
      open.map(({ chunk }) => chunk.chunkTry),
    );
    for (const [index, { lane, chunk }] of open.entries()) {
      const state = states[index];
      if (state?.isCurrent === false) {
        await closing(lane, chunk, () => writer.drop(lane, chunk));
      } else if (state?.isExtracted === true && (await isPassed(lane, chunk))) {
        const failure = rowsMissing(chunk.chunkTry, chunk.nextSeq, 'no more');
        await closing(lane, chunk, () => writer.giveUp(lane, chunk, failure));
      }
    }
    for (const lane of new Set(open.map(({ lane }) => lane))) await commitFloor(lane);
  }

  async function isPassed(lane: Lane, { chunkTry }: OpenChunk<Part>): Promise<boolean> {
    const key = chunkTryKey(chunkTry);
    const end = await ends.notedFor(key, lane.topic);
    if (lane.chunks.position >= (end.get(lane.partition) ?? 0n)) return true;
    return ends.isGone(key, lane.topic, lane.partition);
  }

  return {
    name: 'chunk-watch',
    async run(signal) {
      while (!signal.aborted) {
        await sleep(WATCH_EVERY_MS, signal);
        try {
          await watch();
        } catch (error) {
          log.warn('chunks.not_watched', { error });
        } finally {
          ends.forgetUnasked();
        }
      }
    },
  };
}

/** Meanwhile a batch may have closed the chunk, or the group taken the lane away. */
function closing(lane: Lane, chunk: OpenChunk<Part>, close: () => Promise<void>): Promise<void> {
  return lane.exclusive(async () => {
    if (lane.chunks.has(chunk)) await close();
  });
}
