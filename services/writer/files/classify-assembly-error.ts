import type { WriterFailure } from '../../../shared/control/exports/end-export.ts';
import { UnreadableRequestError } from '../../../shared/control/stored-request.ts';
import { UnknownOutputError } from '../../../shared/formats/choose-format.ts';
import { UnreadableLineError } from '../../../shared/formats/csv.ts';
import { DuckdbError } from '../../../shared/formats/duckdb-session.ts';
import { NoColumnsError } from '../../../shared/formats/parquet.ts';
import { classifyTransient, isServerAway } from '../../../shared/runtime/transient.ts';
import {
  StorageFullError,
  StorageNotFoundError,
  StorageRefusedError,
} from '../../../shared/storage/storage.ts';
import { MixedSchemasError, RowCountMismatchError } from './resource-file.ts';

/** Attempts at an assembly before its export fails. One that kills its process counts too, and one that a server's outage ended does not. */
export const MAX_ASSEMBLY_ATTEMPTS = 20;

/** `outage`: a server is away, which is no attempt's fault. `leave to another`: a newer writer may know what this one does not. */
export type AssemblyErrorClass =
  | { readonly fail: WriterFailure }
  | 'outage'
  | 'try again'
  | 'leave to another';

const AGAIN = 'Nothing was published. Start the export again.';

/** @returns the failure once an assembly was claimed too often: the next process that claims it must not attempt it, because it may kill its process */
export function assemblyExhausted(tryCount: number): WriterFailure | undefined {
  if (tryCount <= MAX_ASSEMBLY_ATTEMPTS) return undefined;
  return tooOften(MAX_ASSEMBLY_ATTEMPTS);
}

function tooOften(tryCount: number): WriterFailure {
  const message =
    `The files could not be assembled in ${tryCount} attempts. The writer's log has the reasons, ` +
    `or what runs it says why its process ended. ${AGAIN}`;
  return { code: 'assembly_failed', message };
}

/** What a failed assembly means for its export. Any but the lasting errors is retried, up to `MAX_ASSEMBLY_ATTEMPTS`. */
export function classifyAssemblyError(error: unknown, tryCount: number): AssemblyErrorClass {
  if (error instanceof RowCountMismatchError) {
    return { fail: { code: 'row_count_mismatch', message: `The counts differ: ${error.message}. ${AGAIN}` } };
  }
  if (error instanceof StorageFullError) {
    return {
      fail: {
        code: 'storage_full',
        message: 'There is no space left to write the files. Make room, then start the export again.',
      },
    };
  }
  if (error instanceof StorageRefusedError) {
    return {
      fail: {
        code: 'storage_refused',
        message:
          'Storage refuses to write the files. Correct the rights, the keys or the bucket of STORAGE_URL, then start the export again.',
      },
    };
  }
  if (error instanceof StorageNotFoundError) {
    return { fail: { code: 'part_lost', message: `A written part is missing from storage. ${AGAIN}` } };
  }
  // A newer api runs beside an older writer while an upgrade lasts.
  if (error instanceof UnreadableRequestError || error instanceof UnknownOutputError) {
    if (tryCount < MAX_ASSEMBLY_ATTEMPTS) return 'leave to another';
    const what =
      error instanceof UnreadableRequestError
        ? 'could read the stored request'
        : 'knows the format or the compression';
    return {
      fail: {
        code: 'assembly_failed',
        message: `In ${tryCount} attempts no writer ${what}: upgrade every writer to the version of the API. ${AGAIN}`,
      },
    };
  }
  if (isNoSpace(error)) {
    return {
      fail: {
        code: 'storage_full',
        message:
          "There is no space left on the writer's own disk. Make room in WRITER_SCRATCH_DIR, then start the export again.",
      },
    };
  }
  if (error instanceof DuckdbError && error.isOutOfMemory) {
    return {
      fail: {
        code: 'assembly_failed',
        message: `The Parquet file needs more memory than its limit: raise PARQUET_MEMORY_MB. ${AGAIN}`,
      },
    };
  }
  if (error instanceof NoColumnsError) {
    return {
      fail: {
        code: 'assembly_failed',
        message: `A Parquet file needs columns, and ${error.message}. ${AGAIN}`,
      },
    };
  }
  if (error instanceof MixedSchemasError || error instanceof UnreadableLineError) {
    return {
      fail: { code: 'assembly_failed', message: `The staged rows differ: ${error.message}. ${AGAIN}` },
    };
  }
  if (isServerAway(classifyTransient(error))) return 'outage';
  return tryCount >= MAX_ASSEMBLY_ATTEMPTS ? { fail: tooOften(tryCount) } : 'try again';
}

/** No space on the local disk. Storage has its own error class for that. */
function isNoSpace(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException | null)?.code ?? '');
}
