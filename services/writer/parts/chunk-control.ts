import type { Pool } from 'pg';
import type { ChunkTry } from '../../../shared/control/chunks/chunk-try.ts';
import { type CurrentChunk, findOpenChunks } from '../../../shared/control/chunks/find-chunk.ts';
import {
  recordChunksWritten,
  recordProgress,
  type WrittenPart,
} from '../../../shared/control/chunks/record-chunk-written.ts';
import { failByChunk, type WriterFailure } from '../../../shared/control/exports/fail-export.ts';
import { createGather } from '../../../shared/runtime/gather.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { retryQuery } from '../retry-query.ts';

/** What the writing of rows asks of the control store. Each call waits for a store that can't be reached. */
export interface ChunkControl {
  /** @returns undefined when the try's rows are to be dropped */
  find(chunkTry: ChunkTry): Promise<CurrentChunk | undefined>;
  /** @returns false when the try does not count any more, or another writer was first */
  recordWritten(chunkTry: ChunkTry, part: WrittenPart): Promise<boolean>;
  /** @returns false when the try does not count any more */
  fail(chunkTry: ChunkTry, failure: WriterFailure): Promise<boolean>;
}

/** What lanes ask at the same time is asked together. */
export function createChunkControl(pool: Pool, log: Log): ChunkControl {
  const find = createGather((tries: readonly ChunkTry[]) =>
    retryQuery('looking chunks up', log, () => findOpenChunks(pool, tries)),
  );
  const record = createGather((written: readonly { chunkTry: ChunkTry; part: WrittenPart }[]) =>
    retryQuery('noting written chunks', log, async () => {
      const areNoted = await recordChunksWritten(pool, written);
      const exportIds = new Set(
        written.flatMap(({ chunkTry }, index) => (areNoted[index] ? [chunkTry.exportId] : [])),
      );
      if (exportIds.size > 0) await recordProgress(pool, [...exportIds]);
      return areNoted;
    }),
  );
  return {
    find,
    recordWritten: (chunkTry, part) => record({ chunkTry, part }),
    fail: (chunkTry, failure) =>
      retryQuery('failing an export', log, () => failByChunk(pool, chunkTry, failure)),
  };
}
