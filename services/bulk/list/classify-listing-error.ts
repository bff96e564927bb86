import { classifySourceError } from '../../../shared/bulk/classify-source-error.ts';
import { IdFileError } from '../../../shared/bulk/decode-id-file.ts';
import { FilterError } from '../../../shared/domain/bulk-filter.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import { StorageNotFoundError, StorageRefusedError } from '../../../shared/storage/storage.ts';
import { JobFailedError, type JobFailure, SourceQueryError } from '../job-failures.ts';

/** Each takes as long as a statement may (list-filter.ts), so a query that is still too slow is the job's own fault. */
const MAX_SLOW_ATTEMPTS = 3;

/**
 * The failure that ends a job whose listing failed, in words for its customer; undefined: the listing is retried. Only an error of
 * the job itself ends it at once, not a source, storage or control store that is unreachable.
 */
export function classifyListingError(error: unknown, attempts: number): JobFailure | undefined {
  if (error instanceof JobFailedError) return { code: error.code, message: error.message };
  if (error instanceof FilterError) {
    return { code: 'filter_refused', message: `${error.pointer}: ${error.message}` };
  }
  if (error instanceof IdFileError) return { code: 'invalid_file', message: error.message };
  if (error instanceof StorageNotFoundError) {
    return { code: 'file_gone', message: 'The file of IDs no longer exists: upload it again.' };
  }
  if (error instanceof StorageRefusedError) {
    return {
      code: 'storage_refused',
      message: 'Storage refuses to read the file of IDs: its rights or keys have changed.',
    };
  }
  if (error instanceof SourceQueryError) return classifyQueryError(error.cause, attempts);
  return undefined;
}

function classifyQueryError(cause: unknown, attempts: number): JobFailure | undefined {
  switch (cause instanceof SetupError ? 'stop' : classifySourceError(cause)) {
    case 'wait':
      return undefined;
    case 'too_slow':
      if (attempts < MAX_SLOW_ATTEMPTS) return undefined;
      return {
        code: 'filter_too_slow',
        message: 'The source database takes too long to find the items: select fewer, or by indexed fields.',
      };
    case 'reject':
      return {
        code: 'filter_refused',
        message: 'The source database cannot evaluate the filter for every record.',
      };
    case 'stop':
      return {
        code: 'source_refused',
        message: 'The source database refuses to read the items: its table or its rights have changed.',
      };
  }
}
