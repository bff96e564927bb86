import type { Pool } from 'pg';
import { type LedgerCounts, MAX_RECENT_ERRORS, type RecentError } from '../../bulk/ledger.ts';
import { costsQuota } from '../../domain/bulk.ts';
import type { Queryable } from '../../postgres/queryable.ts';
import { inTransaction } from '../../postgres/transaction.ts';
import { moveQuota } from './bulk-quota.ts';

/** The report on a chunk, with the claim that allows it. */
export interface ChunkReport {
  readonly jobId: string;
  readonly chunk: number;
  readonly attempt: number;
  /** The ledger's counts for the whole chunk, over all attempts. */
  readonly counts: LedgerCounts;
  /** Delay until the chunk may be claimed again, if it is not done. Null: the worker continues with it. */
  readonly delayMs: number | null;
  /**
   * How the attempt failed; null if it did not. Absent while it continues, or if the failure says nothing about the
   * chunk.
   */
  readonly failure?: string | null | undefined;
  /** Total time of waiting for items whose rows other transactions hold; absent if unchanged. */
  readonly heldMs?: number | undefined;
}

/** Items that got a result since the last report, by result. */
export type AddedResults = Readonly<Record<'succeeded' | 'failed' | 'skipped', number>>;

interface HeldChunk {
  item_count: number;
  reserved: number;
  quota_span: string | null;
  charged: number;
  succeeded: number;
  failed: number;
  skipped: number;
  error_counts: Record<string, number>;
}

interface HeldJob {
  account_id: string;
  max_failures: number | null;
  status: string;
  ending: string | null;
  failed: string;
  processed: string;
  error_counts: Record<string, number>;
  recent_errors: RecentError[];
  rate: number | null;
  rate_at: Date | null;
  rate_processed: string;
}

/**
 * Updates the counts of a chunk and its job, and the account's quota, to the ledger's counts in one transaction. Only
 * differences to the last report are added, so it may be repeated, also after a crash.
 *
 * @returns what was added; undefined when a later attempt has the chunk
 */
export function reportChunk(
  pool: Pool,
  report: ChunkReport,
  nowMs: number,
): Promise<AddedResults | undefined> {
  return inTransaction(pool, async (db) => {
    // Locks the job first, as everywhere, so that two reports can't deadlock.
    const jobs = await db.query<HeldJob>({
      name: 'bulk_hold_job',
      text: `select account_id, (request ->> 'maxFailures')::int as max_failures, status, ending, failed, processed, error_counts,
               recent_errors, rate, rate_at, rate_processed
             from bulk_jobs where id = $1 for no key update`,
      values: [report.jobId],
    });
    const chunks = await db.query<HeldChunk>({
      name: 'bulk_hold_chunk',
      text: `select item_count, reserved, quota_span::text, charged, succeeded, failed, skipped, error_counts
             from bulk_chunks where job_id = $1 and chunk = $2 and attempt = $3 and state <> 'done' for update`,
      values: [report.jobId, report.chunk, report.attempt],
    });
    const [job] = jobs.rows;
    const [chunk] = chunks.rows;
    if (job === undefined || chunk === undefined) return undefined;
    const { counts } = report;
    const charged = chargedItems(counts);
    const used = charged - chunk.charged;
    const released = report.delayMs === null ? Math.min(used, chunk.reserved) : chunk.reserved;
    if (chunk.quota_span !== null) {
      await moveQuota(db, job.account_id, chunk.quota_span, { used, reserved: -released });
    }
    await saveChunk(db, report, chunk, charged, chunk.reserved - released);
    return saveJob(db, report, chunk, job, nowMs);
  });
}

/** The number of counted items that cost quota. */
export function chargedItems({ succeeded, errorCounts }: LedgerCounts): number {
  return Object.entries(errorCounts)
    .filter(([code]) => costsQuota({ status: 'failed', code }))
    .reduce((sum, [, count]) => sum + count, succeeded);
}

async function saveChunk(
  db: Queryable,
  report: ChunkReport,
  chunk: HeldChunk,
  charged: number,
  reserved: number,
): Promise<void> {
  const { counts } = report;
  // Only the last report releases the quota that is still reserved.
  const isAtEnd = report.delayMs !== null;
  const isDone = isAtEnd && counts.succeeded + counts.failed + counts.skipped >= chunk.item_count;
  await db.query({
    name: 'bulk_save_chunk',
    text: `update bulk_chunks set state = case when $3 then 'done' when $9::integer is null then state else 'waiting' end,
             items = case when $3 then null else items end,
             lease_owner = case when $9 is null then lease_owner end,
             lease_expires_at = case when $9 is null then lease_expires_at end,
             not_before = now() + $9 * interval '1 millisecond',
             reserved = $10, charged = $4, succeeded = $5, failed = $6, skipped = $7, error_counts = $8,
             failure_count = case when $12 then failure_count when $11::text is null then 0
               when failure = $11 and succeeded + failed + skipped = $5::int + $6::int + $7::int then failure_count + 1 else 1 end,
             failure = case when $12 then failure else $11 end,
             held_ms = coalesce($13, held_ms)
           where job_id = $1 and chunk = $2`,
    values: [
      report.jobId,
      report.chunk,
      isDone,
      charged,
      counts.succeeded,
      counts.failed,
      counts.skipped,
      JSON.stringify(counts.errorCounts),
      report.delayMs,
      reserved,
      report.failure ?? null,
      report.failure === undefined,
      report.heldMs ?? null,
    ],
  });
}

async function saveJob(
  db: Queryable,
  { jobId, counts }: ChunkReport,
  before: HeldChunk,
  job: HeldJob,
  nowMs: number,
): Promise<AddedResults> {
  const added = {
    succeeded: counts.succeeded - before.succeeded,
    failed: counts.failed - before.failed,
    skipped: counts.skipped - before.skipped,
  };
  const processed = Number(job.processed) + added.succeeded + added.failed + added.skipped;
  const failed = Number(job.failed) + added.failed;
  const rate = smoothRate(
    {
      rate: job.rate,
      atMs: job.rate_at?.getTime() ?? nowMs,
      processed: Number(job.rate_processed),
    },
    nowMs,
    processed,
  );
  const { max_failures: maxFailures } = job;
  const hasFailed = maxFailures !== null && failed >= maxFailures && job.ending === null && added.failed > 0;
  const error = {
    code: 'max_failures',
    message: `${failed} items failed, and max_failures is ${maxFailures}. Finished items stay changed.`,
  };
  const refusals = (of: Readonly<Record<string, number>>) => of.handler_refused ?? 0;
  // Any result of an item shows that the handler is available.
  const hasAnswered = added.succeeded > 0 || refusals(counts.errorCounts) > refusals(before.error_counts);
  await db.query({
    name: 'bulk_save_job',
    text: `update bulk_jobs set succeeded = succeeded + $2, failed = failed + $3, skipped = skipped + $4,
             error_counts = $5, recent_errors = $6, rate = $7, rate_at = $8, rate_processed = $9,
             handler_away_since = case when $12 then null else handler_away_since end,
             handler_pauses = case when $12 then 0 else handler_pauses end,
             ending = case when $10 then 'failed' else ending end, error = case when $10 then $11::jsonb else error end,
             last_updated_at = clock_timestamp()
           where id = $1`,
    values: [
      jobId,
      added.succeeded,
      added.failed,
      added.skipped,
      JSON.stringify(addCounts(job.error_counts, before.error_counts, counts.errorCounts)),
      JSON.stringify(latestErrors(job.recent_errors, counts.recentErrors)),
      rate.rate,
      new Date(rate.atMs),
      rate.processed,
      hasFailed,
      JSON.stringify(error),
      hasAnswered,
    ],
  });
  return added;
}

/** The job's counts by code, with the chunk's old counts replaced by its new ones. */
export function addCounts(
  job: Readonly<Record<string, number>>,
  before: Readonly<Record<string, number>>,
  after: Readonly<Record<string, number>>,
): Record<string, number> {
  const sum: Record<string, number> = { ...job };
  for (const code of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const count = (sum[code] ?? 0) - (before[code] ?? 0) + (after[code] ?? 0);
    if (count > 0) sum[code] = count;
    else delete sum[code];
  }
  return sum;
}

/** The last failures of all chunks, each once, newest first. */
export function latestErrors(known: readonly RecentError[], more: readonly RecentError[]): RecentError[] {
  const bySeq = new Map([...known, ...more].map((error) => [error.seq, error]));
  return [...bySeq.values()]
    .sort((a, b) => (a.at === b.at ? b.seq - a.seq : a.at < b.at ? 1 : -1))
    .slice(0, MAX_RECENT_ERRORS);
}

/** The state of the smoothed rate: items per second, and the last time and number. */
export interface RateState {
  readonly rate: number | null;
  readonly atMs: number;
  readonly processed: number;
}

/** After a change of pace, the old pace weighs 2 % a minute later. */
const TIME_CONSTANT_MS = 15_000;

/** Reports closer together count as one: over so short a time a rate is noise. */
const LEAST_STEP_MS = 1_000;

/**
 * The exponentially smoothed rate after a report. Weights follow elapsed time, so the number of workers does not
 * matter.
 */
export function smoothRate(state: RateState, nowMs: number, processed: number): RateState {
  const elapsedMs = nowMs - state.atMs;
  if (elapsedMs < LEAST_STEP_MS) return state;
  const recent = ((processed - state.processed) * 1_000) / elapsedMs;
  // Without any result there is no rate yet. The first rate is measured from the start, because a first guess would
  // take long to fade.
  if (state.rate === null && recent === 0) return state;
  const weight = 1 - Math.exp(-elapsedMs / TIME_CONSTANT_MS);
  const rate = state.rate === null ? recent : state.rate + weight * (recent - state.rate);
  return { rate, atMs: nowMs, processed };
}
