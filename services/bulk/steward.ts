import type { Pool } from 'pg';
import { countResults, type LedgerCounts, noteResults } from '../../shared/bulk/ledger.ts';
import type { Log } from '../../shared/runtime/log.ts';
import { sleep } from '../../shared/runtime/sleep.ts';
import type { Worker } from '../../shared/runtime/worker.ts';
import { countedFailure } from './repeated-failure.ts';
import { SourceAnswerError } from './source-answer-error.ts';
import {
  endJob,
  findEndingJobs,
  findUnsettledChunks,
  leaveUncounted,
  type UnsettledChunk,
} from './store/end-job.ts';
import { reportChunk } from './store/report-chunk.ts';
import { resumeRefilled, startJobs } from './store/start-jobs.ts';
import { unansweredItems } from './work/unanswered-items.ts';

export interface StewardDeps {
  readonly control: Pool;
  readonly source: Pool;
  readonly log: Log;
  now(): number;
}

const ROUND_MS = 200;

/** Gives jobs their turn, lets those go on whose quota is filled again, and ends those that have come to their end. */
export function createSteward(deps: StewardDeps): Worker {
  return {
    name: 'bulk-steward',
    ready: Promise.resolve(),
    async run(signal) {
      while (!signal.aborted) {
        await stewardRound(deps).catch((error: unknown) => deps.log.warn('bulk.round_failed', { error }));
        await sleep(ROUND_MS, signal);
      }
    },
  };
}

/** Safe to run by any number of processes at once. */
export async function stewardRound(deps: StewardDeps): Promise<void> {
  const { control, log, now } = deps;
  for (const jobId of await startJobs(control, now())) log.info('bulk.job_started', { jobId });
  for (const jobId of await resumeRefilled(control, now())) log.info('bulk.job_resumed', { jobId });
  for (const jobId of await findEndingJobs(control)) {
    try {
      for (const chunk of await findUnsettledChunks(control, jobId)) await settle(chunk, deps);
      const status = await endJob(control, jobId);
      if (status !== undefined) log.info('bulk.job_ended', { jobId, status });
    } catch (error) {
      // One job that can't end now is in the way of no other.
      log.warn('bulk.job_not_ended', { jobId, error });
    }
  }
}

/**
 * Brings a chunk up to date that was begun and not reported: what is in the ledger is in the counts, or the two would disagree for
 * ever. Only where the source refuses to tell, for a reason that does not pass, do the counts stay as they were.
 */
async function settle(chunk: UnsettledChunk, { control, source, log, now }: StewardDeps): Promise<void> {
  const { jobId, firstSeq, itemCount } = chunk;
  let counts: LedgerCounts;
  try {
    await noteResults(source, jobId, unansweredItems(chunk));
    counts = await countResults(source, jobId, firstSeq, firstSeq + itemCount);
  } catch (error) {
    if (countedFailure(new SourceAnswerError(error)) === undefined) throw error;
    log.error('bulk.chunk_not_counted', { jobId, chunk: chunk.chunk, error });
    return leaveUncounted(control, chunk);
  }
  await reportChunk(control, { ...chunk, counts, delayMs: 0 }, now());
}
