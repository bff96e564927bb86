import pg from 'pg';
import { isOutage } from '../../shared/bulk/classify-source-error.ts';
import { WORKER_LOST } from '../../shared/control/bulk/claim-chunk.ts';
import { backoffMs } from '../../shared/runtime/backoff.ts';

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
const BUGS = [TypeError, RangeError, ReferenceError, SyntaxError];

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
  return cause instanceof Error && BUGS.some((bug) => cause instanceof bug) ? cause.name : undefined;
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
