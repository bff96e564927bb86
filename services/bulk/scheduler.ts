import type { Pool } from 'pg';
import { countResults, type LedgerCounts, recordResults } from '../../shared/bulk/ledger.ts';
import type { SlotWatch } from '../../shared/catalog/slot-health.ts';
import {
  endJob,
  findEndingJobs,
  findUnsettledChunks,
  leaveUncounted,
  type UnsettledChunk,
} from '../../shared/control/bulk/end-job.ts';
import { pauseForFeed, resumeCaughtUp, resumeRested } from '../../shared/control/bulk/pause-job.ts';
import { resumeRefilled, startJobs } from '../../shared/control/bulk/queue-jobs.ts';
import { reportChunk } from '../../shared/control/bulk/report-chunk.ts';
import type { Log } from '../../shared/runtime/log.ts';
import { runRounds } from '../../shared/runtime/run-rounds.ts';
import type { Worker } from '../../shared/runtime/worker.ts';
import type { ActiveJobs } from './active-jobs.ts';
import { countedFailure, SourceQueryError } from './job-failures.ts';
import type { BulkMetrics } from './metrics.ts';
import { unansweredItems } from './work/chunk-items.ts';

export interface SchedulerDeps {
  readonly control: Pool;
  readonly source: Pool;
  readonly log: Log;
  readonly slotWatch: Pick<SlotWatch, 'latest'>;
  readonly metrics: Pick<BulkMetrics, 'counted' | 'ended'>;
  now(): number;
}

const ROUND_MS = 200;

/** Queried once per round; everything else only while there are jobs. */
export interface SchedulerWorkerDeps extends SchedulerDeps {
  readonly active: Pick<ActiveJobs, 'look'>;
}

/** Starts queued jobs, pauses jobs while the feed is too far behind, resumes paused jobs, and ends finished ones. */
export function createScheduler(deps: SchedulerWorkerDeps): Worker {
  return {
    name: 'bulk-scheduler',
    ready: Promise.resolve(),
    run(signal) {
      const onFailed = (error: unknown) => deps.log.warn('bulk.round_failed', { error });
      const round = async () => {
        if (await deps.active.look()) await scheduleRound(deps);
      };
      return runRounds(round, { restMs: ROUND_MS, onFailed }, signal);
    },
  };
}

/** Any number of processes may run this at once. */
export async function scheduleRound(deps: SchedulerDeps): Promise<void> {
  const { control, log, now } = deps;
  for (const jobId of await startJobs(control, now())) log.info('bulk.job_started', { jobId });
  for (const jobId of await resumeRefilled(control, now())) log.info('bulk.job_resumed', { jobId });
  await pauseOrResumeForFeed(deps);
  for (const jobId of await resumeRested(control, now())) log.info('bulk.job_resumed', { jobId });
  for (const jobId of await findEndingJobs(control)) {
    try {
      for (const chunk of await findUnsettledChunks(control, jobId)) await settle(chunk, deps);
      const status = await endJob(control, jobId);
      if (status === undefined) continue;
      log.info('bulk.job_ended', { jobId, status });
      deps.metrics.ended(status);
    } catch (error) {
      // A job that cannot end now must not block the others.
      log.warn('bulk.job_not_ended', { jobId, error });
    }
  }
}

/**
 * Follows the rule with which the api refuses new jobs. While the slot's state is unknown, running jobs run and paused
 * ones stay paused.
 */
async function pauseOrResumeForFeed({ control, slotWatch, log, now }: SchedulerDeps): Promise<void> {
  const status = slotWatch.latest();
  if (status === undefined) return;
  if (status.state === 'refuse') {
    for (const jobId of await pauseForFeed(control)) {
      log.warn('bulk.job_paused', { jobId, reason: 'feed', reasons: status.reasons });
    }
  } else {
    for (const jobId of await resumeCaughtUp(control, now())) log.info('bulk.job_resumed', { jobId });
  }
}

/**
 * Reports a chunk that was started and never reported, so that the counts agree with the ledger. The counts stay
 * unchanged only if the source permanently refuses the query.
 */
async function settle(
  chunk: UnsettledChunk,
  { control, source, metrics, log, now }: SchedulerDeps,
): Promise<void> {
  const { jobId, firstSeq, itemCount } = chunk;
  let counts: LedgerCounts;
  try {
    await recordResults(source, jobId, unansweredItems(chunk));
    counts = await countResults(source, jobId, firstSeq, firstSeq + itemCount);
  } catch (error) {
    if (countedFailure(new SourceQueryError(error)) === undefined) throw error;
    log.error('bulk.chunk_not_counted', { jobId, chunk: chunk.chunk, error });
    return leaveUncounted(control, chunk);
  }
  const added = await reportChunk(control, { ...chunk, counts, delayMs: 0 }, now());
  if (added !== undefined) metrics.counted(added);
}
