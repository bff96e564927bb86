import type { ChunkAttempt } from '../../../shared/control/chunks/chunk-attempts.ts';
import type { WriterFailure } from '../../../shared/control/exports/end-export.ts';

// The customer and the operator read these messages: what happened, and what to do.

const AGAIN = 'Nothing was published. Start the export again.';

export function rowsMissing(
  { resource, chunk }: ChunkAttempt,
  expected: number,
  found: number | 'no more',
): WriterFailure {
  const came = found === 'no more' ? 'no row follows it' : `row ${found} follows`;
  return {
    code: 'row_count_mismatch',
    message: `Rows of ${resource} were lost in Kafka: row ${expected} of chunk ${chunk} is missing, ${came}. ${AGAIN}`,
  };
}

export function wrongRowCount(
  { resource, chunk }: ChunkAttempt,
  planned: number,
  written: number,
): WriterFailure {
  return {
    code: 'row_count_mismatch',
    message: `Chunk ${chunk} of ${resource} has ${planned} rows in the snapshot, but ${written} arrived. ${AGAIN}`,
  };
}

export function storageFull({ resource }: Pick<ChunkAttempt, 'resource'>): WriterFailure {
  return {
    code: 'storage_full',
    message: `There is no space left to write ${resource}. Its parts were removed. Make room, then start the export again.`,
  };
}

export function storageRefused({ resource }: Pick<ChunkAttempt, 'resource'>): WriterFailure {
  return {
    code: 'storage_refused',
    message: `Storage refuses to write ${resource}. Correct the rights, the keys or the bucket of STORAGE_URL, then start the export again.`,
  };
}

export function rowUnreadable({ resource, chunk }: ChunkAttempt, seq: number): WriterFailure {
  return {
    code: 'row_unreadable',
    message: `Row ${seq} of chunk ${chunk} of ${resource} cannot be read with its schema. ${AGAIN}`,
  };
}

export function tooManyOpenChunks(maxOpenChunks: number): WriterFailure {
  return {
    code: 'too_many_open_chunks',
    message:
      `More than ${maxOpenChunks} chunks are open at once. ` +
      'Run more writers, fewer extractors, or raise WRITER_MAX_OPEN_CHUNKS; then start the export again.',
  };
}
