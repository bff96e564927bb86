import type { Lsn } from '../../../shared/domain/lsn.ts';
import type { ChangeMessage } from './change-messages.ts';
import type { EndedTransaction } from './transactions.ts';

/** What goes into one Kafka transaction, beside the state. */
export interface Batch {
  readonly changes: ChangeMessage[];
  readonly seals: { readonly jobId: string; readonly token: string; readonly commitLsn: Lsn }[];
  /** Of the changes' values. */
  bytes: number;
}

export function createBatch(): Batch {
  return { changes: [], seals: [], bytes: 0 };
}

export function isEmpty(batch: Batch): boolean {
  return batch.changes.length === 0 && batch.seals.length === 0;
}

export function addSeals(batch: Batch, { seals, commitLsn }: EndedTransaction): void {
  for (const seal of seals) batch.seals.push({ ...seal, commitLsn });
}

/** What the last Kafka transaction was: of how many of the source's, and when it was begun, by a monotonic clock. */
export interface LastBatch {
  readonly commitCount: number;
  readonly startedAtMs: number;
}

/** From so many commits in one lot on, others will come as soon: at this many in `BATCH_INTERVAL_MS`, 400 a second. */
const BUSY_COMMIT_COUNT = 4;

/**
 * Between the beginnings of two lots of a busy source. A Kafka transaction costs five messages and as many wake-ups, down to
 * the event log, whatever is in it: made as fast as they go, they fill the processors at 1,000 commits a second, and all then
 * waits for those.
 */
const BATCH_INTERVAL_MS = 10;

/**
 * How long the next lot waits for more to come, in milliseconds. Not at all while commits are few, so that one by itself
 * is told at once; nor behind a lot that took longer than the interval, as those of a backlog do.
 */
export function lingerMs({ commitCount, startedAtMs }: LastBatch, nowMs: number): number {
  if (commitCount < BUSY_COMMIT_COUNT) return 0;
  return Math.max(0, startedAtMs + BATCH_INTERVAL_MS - nowMs);
}
