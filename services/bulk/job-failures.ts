import pg from 'pg';
import { isOutage } from '../../shared/bulk/classify-source-error.ts';
import { WORKER_LOST } from '../../shared/control/bulk/claim-chunk.ts';
import { backoffMs } from '../../shared/runtime/backoff.ts';

/** A job can't go on, whoever works on it. The text is for the customer. */
export class JobFailedError extends Error {
  override readonly name = 'JobFailedError';
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** What ends a job, as its customer reads it. */
export interface JobFailure {
  readonly code: string;
  readonly message: string;
}

/** So many attempts in a row that fail the same way end a job: an error that comes each time does not pass by itself. */
export const MAX_SAME_FAILURES = 8;

/**
 * So many workers that were lost in a row over the same items end it too: the items may be what ends them. More than
 * failures that are seen, because a worker is also lost to a restart.
 */
const MAX_LOST_WORKERS = 20;

/** 0.2, 0.4, 0.8, 1.6, 3.2, 4, 4, … s at most: `MAX_SAME_FAILURES` take some ten seconds. */
const RETRY = { initialMs: 200, maxMs: 4_000 };

/** Before the next attempt of what has failed so many times in a row. */
export function retryDelayMs(failureCount: number): number {
  return backoffMs(failureCount, RETRY);
}

/** Of the control store's errors only those about a value are a job's own: it stores what the job is made of. */
const ABOUT_VALUES = /^(22|54)/;

/** What no outage looks like. */
const BUGS = [TypeError, RangeError, ReferenceError, SyntaxError];

/**
 * What a failure is counted as; undefined when it counts for nothing, because servers, storage and connections come back: a
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

/** Whether a job has failed in one way so often that it is over. */
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

/** What the source said when a job asked it for something. The control store's errors poll the same, and are no job's fault. */
export class SourceQueryError extends Error {
  override readonly name = 'SourceQueryError';

  constructor(cause: unknown) {
    super('asking the source for a job', { cause });
  }
}
