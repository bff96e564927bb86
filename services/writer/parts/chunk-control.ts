import type { Pool } from 'pg';
import {
  type ChunkAttempt,
  type CurrentChunk,
  findOpenChunks,
  recordChunksWritten,
  type WrittenPart,
} from '../../../shared/control/chunks/chunk-attempts.ts';
import { failByChunk, type WriterFailure } from '../../../shared/control/exports/end-export.ts';
import { retryQuery } from '../../../shared/postgres/retry-query.ts';
import { createGather } from '../../../shared/runtime/gather.ts';
import type { Log } from '../../../shared/runtime/log.ts';

/** The row writer's view of the control store. Each call waits while the store is unreachable. */
export interface ChunkControl {
  /** @returns undefined when the attempt is not current, so that its rows are dropped */
  find(chunkAttempt: ChunkAttempt): Promise<CurrentChunk | undefined>;
  /** @returns false when the attempt is no longer current, or another writer was first */
  recordWritten(chunkAttempt: ChunkAttempt, part: WrittenPart): Promise<boolean>;
  /** @returns false when the attempt is no longer current */
  fail(chunkAttempt: ChunkAttempt, failure: WriterFailure): Promise<boolean>;
}

/** Combines concurrent calls of several partitions into one query. `onRecorded` is told of each chunk that is written. */
export function createChunkControl(
  pool: Pool,
  onRecorded: (exportId: string) => void,
  log: Log,
): ChunkControl {
  const find = createGather((attempts: readonly ChunkAttempt[]) =>
    retryQuery('looking chunks up', log, () => findOpenChunks(pool, attempts)),
  );
  const record = createGather((written: readonly { chunkAttempt: ChunkAttempt; part: WrittenPart }[]) =>
    retryQuery('recording written chunks', log, async () => {
      const areRecorded = await recordChunksWritten(pool, written);
      for (const [index, { chunkAttempt }] of written.entries())
        if (areRecorded[index]) onRecorded(chunkAttempt.exportId);
      return areRecorded;
    }),
  );
  return {
    find,
    recordWritten: (chunkAttempt, part) => record({ chunkAttempt, part }),
    fail: (chunkAttempt, failure) =>
      retryQuery('failing an export', log, () => failByChunk(pool, chunkAttempt, failure)),
  };
}
