import pg from 'pg';
import { classifySourceError, isOutage } from '../../shared/bulk/classify-source-error.ts';
import { IdFileError } from '../../shared/bulk/id-file.ts';
import { CatalogBehindError } from '../../shared/catalog/catalog-behind-error.ts';
import { WORKER_LOST } from '../../shared/control/bulk/claim-chunk.ts';
import { UnreadableRequestError } from '../../shared/control/stored-request.ts';
import { FilterError } from '../../shared/domain/bulk-filter.ts';
import { SetupError } from '../../shared/runtime/errors.ts';
import { backoffMs } from '../../shared/runtime/retry.ts';
import { StorageNotFoundError, StorageRefusedError } from '../../shared/storage/storage.ts';

/** No worker can continue the job. The customer reads the message. */
export class JobFailedError extends Error {
  override readonly name = 'JobFailedError';
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Why a job failed, as its customer reads it. */
export interface JobFailure {
  readonly code: string;
  readonly message: string;
}

/** Consecutive attempts with the same error that fail a job: an error that repeats does not pass by itself. */
export const MAX_SAME_FAILURES = 8;

/**
 * Workers lost in a row on the same items that fail a job: the items may crash them. Higher than the limit of errors,
 * because a restart also loses a worker.
 */
const MAX_LOST_WORKERS = 20;

/** 0.2, 0.4, 0.8, 1.6, 3.2, 4, 4, … s at most: `MAX_SAME_FAILURES` attempts take about ten seconds. */
const RETRY = { initialMs: 200, maxMs: 4_000 };

/** Delay before the next attempt after `failureCount` failures in a row. */
export function retryDelayMs(failureCount: number): number {
  return backoffMs(failureCount, RETRY);
}

/** Of the control store's errors, only those about a value are the job's fault: the store holds the job's data. */
const ABOUT_VALUES = /^(22|54)/;

/** Errors that no outage causes. */
const BUGS = [TypeError, RangeError, ReferenceError, SyntaxError, UnreadableRequestError];

/** A restart of this process corrects it, or nothing does. */
const COUNTED = [...BUGS, CatalogBehindError];

/**
 * The name under which a failure counts; undefined when it does not count. Servers, storage and connections come back, and a
 * job waits for them as long as it takes.
 */
export function countedFailure(error: unknown): string | undefined {
  const isOfSource = error instanceof SourceQueryError;
  const cause = isOfSource ? error.cause : error;
  if (cause instanceof pg.DatabaseError) {
    const code = cause.code ?? '';
    return !isOutage(cause) && (isOfSource || ABOUT_VALUES.test(code)) ? code : undefined;
  }
  return cause instanceof Error && COUNTED.some((kind) => cause instanceof kind) ? cause.name : undefined;
}

const READ_ONLY = '25006';

/** The failure that ends a job once one error has repeated too often; undefined before. */
export function repeatedFailure(name: string | null, count: number): JobFailure | undefined {
  if (name === null || count < (name === WORKER_LOST ? MAX_LOST_WORKERS : MAX_SAME_FAILURES))
    return undefined;
  if (name === READ_ONLY) {
    const message = 'The source database refuses every change: its role, or the server itself, is read-only.';
    return { code: 'source_read_only', message };
  }
  const what =
    name === WORKER_LOST
      ? `${count} workers in a row did not finish the same items`
      : `the same items failed ${count} times in a row with the same error (${name})`;
  return {
    code: 'processing_failed',
    message: `The job was given up: ${what}. Finished items stay changed. The operator's log has the reason.`,
  };
}

/** A query of the source failed. Errors of the control store look alike, and are no job's fault. */
export class SourceQueryError extends Error {
  override readonly name = 'SourceQueryError';

  constructor(cause: unknown) {
    super('asking the source for a job', { cause });
  }
}

/** Each takes as long as a statement may (list/list-jobs.ts), so a query that is still too slow is the job's own fault. */
const MAX_SLOW_ATTEMPTS = 3;

/**
 * The failure that ends a job whose listing failed, in words for its customer; undefined: the listing is retried. Only an error of
 * the job itself ends it at once, not a source, storage or control store that is unreachable.
 *
 * @param count how often the listing has failed with this error in a row
 */
export function classifyListingError(error: unknown, count: number): JobFailure | undefined {
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
  if (error instanceof SourceQueryError) return classifyQueryError(error.cause, count);
  return undefined;
}

function classifyQueryError(cause: unknown, count: number): JobFailure | undefined {
  switch (cause instanceof SetupError ? 'stop' : classifySourceError(cause)) {
    case 'wait':
      return undefined;
    case 'too_slow':
      if (count < MAX_SLOW_ATTEMPTS) return undefined;
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
