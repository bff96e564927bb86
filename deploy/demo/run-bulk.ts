import { setTimeout as delay } from 'node:timers/promises';
import type { Resource } from '../../shared/domain/catalog.ts';
import type { ApiClient } from './api-client.ts';
import type { ProductStory } from './product-stories.ts';

/** A bulk operation's status, as far as the demo reads it. */
export interface BulkJob {
  job_id: string;
  status: string;
  processed: number;
  succeeded: number;
  failed: number;
  skipped: number;
  total: number;
}

export interface BulkDeps {
  readonly client: ApiClient;
  readonly resource: Resource;
  /** IDs of records there are, or were a moment ago. */
  readonly ids: readonly string[];
  tell(line: string): void;
}

const JOB_LIMIT_MS = 180_000;
const POLL_MS = 100;

/**
 * The story's two bulk operations, while the product writes: one at once over as many records as a request takes, one as
 * a job over all that a filter finds. @returns the ended job @throws when the job did not complete in time
 */
export async function runBulk(story: ProductStory, deps: BulkDeps): Promise<BulkJob> {
  await changeAtOnce(story, deps);
  return runJob(story, deps);
}

async function changeAtOnce({ atOnce }: ProductStory, { client, resource, ids, tell }: BulkDeps) {
  const startedMs = Date.now();
  const { results } = await client.call<{ results: { status: string }[] }>('POST', '/bulk/operations', {
    resource: resource.name,
    ...atOnce,
    ids: ids.slice(0, resource.syncLimit),
  });
  const countOf = (wanted: string) => results.filter(({ status }) => status === wanted).length;
  tell(
    `${atOnce.operation} of ${results.length} ${resource.name} at once: ${countOf('succeeded')} succeeded, ` +
      `${countOf('skipped')} skipped, ${countOf('failed')} failed in ${Date.now() - startedMs} ms`,
  );
}

async function runJob({ job }: ProductStory, { client, resource, tell }: BulkDeps): Promise<BulkJob> {
  const startedMs = Date.now();
  const { job_id: id } = await client.call<BulkJob>('POST', '/bulk/operations', {
    resource: resource.name,
    ...job,
    async: true,
  });
  for (;;) {
    const view = await client.call<BulkJob>('GET', `/bulk/operations/${id}`);
    if (view.status === 'completed') {
      const seconds = (Date.now() - startedMs) / 1000;
      tell(
        `${job.operation} as a job, ${id}: ${view.total} ${resource.name}, ${view.succeeded} succeeded, ` +
          `${view.skipped} skipped, ${view.failed} failed in ${seconds.toFixed(1)} s`,
      );
      return view;
    }
    const hasEnded = view.status === 'failed' || view.status === 'cancelled';
    if (hasEnded || Date.now() - startedMs > JOB_LIMIT_MS) {
      throw new Error(`the bulk job ${id} is ${view.status}: ${JSON.stringify(view)}`);
    }
    await delay(POLL_MS);
  }
}
