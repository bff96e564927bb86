import { judgeSourceError } from '../../../shared/bulk/judge-source-error.ts';
import { FilterError } from '../../../shared/domain/bulk-filter.ts';
import { SetupError } from '../../../shared/runtime/errors.ts';
import type { Log } from '../../../shared/runtime/log.ts';
import { sleep } from '../../../shared/runtime/sleep.ts';
import type { Worker } from '../../../shared/runtime/worker.ts';
import { StorageNotFoundError } from '../../../shared/storage/storage.ts';
import { JobFailedError } from '../job-failed-error.ts';
import { claimListing, releaseListing } from '../store/claim-listing.ts';
import { failJob } from '../store/end-job.ts';
import { type ListDeps, listJob } from './list-job.ts';

const IDLE_MS = 250;

/** Tries before a job whose items can't be listed is given up. */
const MAX_TRIES = 5;

const RETRY_MS = 2_000;

/** Lists the items of jobs whose turn it is, one job at a time; a process runs several of these. */
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
    const failure = toFailure(error, claim.listCount - claim.round);
    if (failure === undefined) {
      log.warn('bulk.listing_failed', { error, retryInMs: RETRY_MS });
      await releaseListing(control, claim, RETRY_MS);
    } else {
      log.error('bulk.job_failed', { code: failure.code, error });
      await failJob(control, claim.jobId, failure);
    }
  }
  return true;
}

/** What the customer is told; undefined: try again. */
function toFailure(error: unknown, tries: number): { code: string; message: string } | undefined {
  if (error instanceof JobFailedError) return { code: error.code, message: error.message };
  if (error instanceof StorageNotFoundError) {
    return { code: 'file_gone', message: 'The file of IDs is not there any more: upload it again.' };
  }
  if (error instanceof FilterError) {
    return { code: 'filter_refused', message: `${error.pointer}: ${error.message}` };
  }
  const verdict = error instanceof SetupError ? 'stop' : judgeSourceError(error);
  if (verdict === 'wait' && tries < MAX_TRIES) return undefined;
  return {
    code: 'source_refused',
    message: 'The items could not be listed: the source database refuses the query or does not answer.',
  };
}
