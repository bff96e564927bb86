import type { Lsn } from '../../../shared/domain/lsn.ts';
import type { ChangeMessage } from './change-messages.ts';
import type { EndedTransaction } from './transactions.ts';

/** The content of one Kafka transaction, besides the state. */
export interface Batch {
  readonly changes: ChangeMessage[];
  readonly seals: { readonly jobId: string; readonly token: string; readonly commitLsn: Lsn }[];
  /** Bytes of the changes' values. */
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

/** The last Kafka transaction: how many source transactions it held, and when it began, by a monotonic clock. */
export interface LastBatch {
  readonly commitCount: number;
  readonly startedAtMs: number;
}

/** A batch with this many commits means a busy source: 400 a second, at one batch per `BATCH_INTERVAL_MS`. */
const BUSY_COMMIT_COUNT = 4;

/**
 * Between the starts of two batches of a busy source. A Kafka transaction costs five messages and as many wake-ups,
 * whatever it holds. Without a pause, 1,000 commits a second saturate the processors, and everything waits for them.
 */
const BATCH_INTERVAL_MS = 10;

/**
 * How long the next batch waits for more commits, in milliseconds. Zero while commits are few, so that a single commit is
 * published at once, and zero after a batch that took longer than the interval, as during a backlog.
 */
export function lingerMs({ commitCount, startedAtMs }: LastBatch, nowMs: number): number {
  if (commitCount < BUSY_COMMIT_COUNT) return 0;
  return Math.max(0, startedAtMs + BATCH_INTERVAL_MS - nowMs);
}
