import type { Pool } from 'pg';
import type { Log } from '../../../shared/runtime/log.ts';
import { retryQuery } from '../retry-query.ts';
import { failByChunk, type WriterFailure } from '../store/fail-export.ts';
import { type CurrentChunk, findCurrentChunk } from '../store/find-chunk.ts';
import { recordChunkWritten, recordProgress, type WrittenPart } from '../store/record-chunk-written.ts';
import type { ChunkTry } from './chunk-try.ts';

/** What the writing of rows asks of the control store. Each call waits for a store that can't be reached. */
export interface ChunkControl {
  /** @returns undefined when the try's rows are to be dropped */
  find(chunkTry: ChunkTry): Promise<CurrentChunk | undefined>;
  /** @returns false when the try does not count any more, or another writer was first */
  recordWritten(chunkTry: ChunkTry, part: WrittenPart): Promise<boolean>;
  /** @returns false when the try does not count any more */
  fail(chunkTry: ChunkTry, failure: WriterFailure): Promise<boolean>;
}

export function createChunkControl(pool: Pool, log: Log): ChunkControl {
  return {
    find: (chunkTry) => retryQuery('looking a chunk up', log, () => findCurrentChunk(pool, chunkTry)),
    recordWritten: (chunkTry, part) =>
      retryQuery('noting a written chunk', log, async () => {
        const isNoted = await recordChunkWritten(pool, chunkTry, part);
        if (isNoted) await recordProgress(pool, chunkTry.exportId);
        return isNoted;
      }),
    fail: (chunkTry, failure) =>
      retryQuery('failing an export', log, () => failByChunk(pool, chunkTry, failure)),
  };
}
