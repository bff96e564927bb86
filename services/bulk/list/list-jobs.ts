import { claimListing, releaseListing } from '../../../shared/control/bulk/claim-listing.ts';
import { failJob } from '../../../shared/control/bulk/end-job.ts';
import { backoffMs } from '../../../shared/runtime/backoff.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { sleep } from '../../../shared/runtime/sleep.ts';
import type { Worker } from '../../../shared/runtime/worker.ts';
import { countedFailure, repeatedFailure } from '../job-failures.ts';
import { classifyListingError } from './classify-listing-error.ts';
import { type ListDeps, listJob } from './list-job.ts';

const IDLE_MS = 250;

/** Between attempts at one job during an outage: 0.5, 1, 2, 4, 8, 10, 10, … s at most, shared by all workers. */
const RETRY = { initialMs: 500, maxMs: 10_000 };

/** Lists the items of started jobs, one job at a time; a process runs several listers. */
export function createLister(index: number, owner: string, deps: ListDeps & { readonly log: Log }): Worker {
  return {
    name: `bulk-lister-${index}`,
    ready: Promise.resolve(),
    async run(signal) {
      while (!signal.aborted) {
        const found = await step(owner, deps, signal).catch((error: unknown) => {
          deps.log.warn('bulk.listing_claim_failed', { error });
          return false;
        });
        if (!found) await sleep(IDLE_MS, signal);
      }
    },
  };
}

async function step(owner: string, deps: ListDeps & { log: Log }, signal: AbortSignal): Promise<boolean> {
  const { control } = deps;
  const claim = await claimListing(control, owner);
  if (claim === undefined) return false;
  const log = deps.log.child({ jobId: claim.jobId, listCount: claim.listCount });
  const startedAtMs = performance.now();
  try {
    const total = await listJob(claim, deps, signal);
    const durationMs = Math.round(performance.now() - startedAtMs);
    log.info(total === undefined ? 'bulk.listing_let_go' : 'bulk.listed', { total, durationMs });
    if (total !== undefined && !claim.isStarted) log.info('bulk.job_started');
    if (total === undefined) await releaseListing(control, claim, 0);
  } catch (error) {
    const attempts = claim.listCount - claim.round;
    const name = countedFailure(error);
    const count = name === claim.lastFailure ? claim.failureCount + 1 : 1;
    const failure = classifyListingError(error, attempts) ?? repeatedFailure(name ?? null, count);
    if (failure === undefined) {
      const retryInMs = backoffMs(attempts - 1, RETRY);
      log.warn('bulk.listing_failed', { error, attempts, retryInMs });
      await releaseListing(control, claim, retryInMs, name);
    } else {
      log.error('bulk.job_failed', { code: failure.code, error });
      await failJob(control, claim.jobId, failure);
    }
  }
  return true;
}
