import type { Pool } from 'pg';
import { countResults, noteResults } from '../../shared/bulk/ledger.ts';
import type { Log } from '../../shared/runtime/log.ts';
import { sleep } from '../../shared/runtime/sleep.ts';
import type { Worker } from '../../shared/runtime/worker.ts';
import { endJob, findEndingJobs, findUnsettledChunks } from './store/end-job.ts';
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
export async function stewardRound({ control, source, log, now }: StewardDeps): Promise<void> {
  for (const jobId of await startJobs(control, now())) log.info('bulk.job_started', { jobId });
  for (const jobId of await resumeRefilled(control, now())) log.info('bulk.job_resumed', { jobId });
  for (const jobId of await findEndingJobs(control)) {
    // Chunks that were begun and not reported: what is in the ledger is in the counts, or the two would disagree for ever.
    for (const chunk of await findUnsettledChunks(control, jobId)) {
      await noteResults(source, jobId, unansweredItems(chunk));
      const counts = await countResults(source, jobId, chunk.firstSeq, chunk.firstSeq + chunk.itemCount);
      await reportChunk(control, { ...chunk, counts, delayMs: 0 }, now());
    }
    const status = await endJob(control, jobId);
    if (status !== undefined) log.info('bulk.job_ended', { jobId, status });
  }
}
