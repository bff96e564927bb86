import type { Pool } from 'pg';
import { claimChunk } from '../../shared/control/bulk/claim-chunk.ts';
import { endJob, findEndingJobs } from '../../shared/control/bulk/end-job.ts';
import { insertBulkJob, startJobs } from '../../shared/control/bulk/queue-jobs.ts';
import { reportChunk } from '../../shared/control/bulk/report-chunk.ts';

export interface QueuedJob {
  readonly id: string;
  readonly accountId: string;
  readonly chunks: number;
}

export interface QueueOptions {
  /** In the order in which they are made. */
  readonly jobs: readonly QueuedJob[];
  /** Chunks that all workers together have in hand at once. */
  readonly slots: number;
  /** How long a chunk takes. */
  chunkMs(): number;
}

export interface QueueRun {
  /** Each chunk in the order in which it was claimed, by virtual time. */
  readonly claims: readonly { readonly jobId: string; readonly accountId: string; readonly atMs: number }[];
  /** When each job ended. */
  readonly endedMs: ReadonlyMap<string, number>;
  /** The most jobs of one account that ran at once. */
  readonly mostRunning: number;
  readonly statements: number;
}

const NOTHING_FAILED = { failed: 0, skipped: 0, errorCounts: {}, recentErrors: [] };

/**
 * Works off queued bulk jobs with the statements of production on a real control store. Only the chunks' work is missing: it takes
 * virtual time, so that hours of it pass as fast as the statements do.
 */
export async function runJobQueue(pool: Pool, { jobs, slots, chunkMs }: QueueOptions): Promise<QueueRun> {
  const claims: { jobId: string; accountId: string; atMs: number }[] = [];
  const endedMs = new Map<string, number>();
  const underWay: { readonly doneMs: number; readonly report: () => Promise<unknown> }[] = [];
  let nowMs = 0;
  let mostRunning = 0;
  let statements = 0;
  const counted = <T>(result: Promise<T>): Promise<T> => {
    statements += 1;
    return result;
  };

  for (const { id, accountId, chunks } of jobs) {
    const items = Array.from({ length: chunks }, (_, n) => ({ key: [`${n}`] }));
    const request = {
      resource: 'invoices',
      operation: 'void',
      params: {},
      filter: null,
      semantics: 'snapshot',
      maxFailures: null,
    } as const;
    await insertBulkJob(pool, {
      id,
      accountId,
      request,
      fileId: null,
      estimated: chunks,
      items,
      chunkItems: 1,
    });
  }
  while (endedMs.size < jobs.length) {
    await counted(startJobs(pool, nowMs));
    const { rows } = await pool.query<{ most: number }>(
      `select coalesce(max(running), 0)::int as most from (
         select count(*) as running from bulk_jobs where status = 'running' group by account_id) r`,
    );
    mostRunning = Math.max(mostRunning, rows[0]?.most ?? 0);
    while (underWay.length < slots) {
      const claim = await counted(
        claimChunk(pool, `worker-${underWay.length}`, { kind: 'rows', asking: [] }),
      );
      if (claim === undefined) break;
      const { jobId, chunk, attempt, accountId } = claim;
      claims.push({ jobId, accountId, atMs: nowMs });
      const counts = { ...NOTHING_FAILED, succeeded: claim.items.length };
      const doneMs = nowMs + chunkMs();
      underWay.push({
        doneMs,
        report: () =>
          counted(reportChunk(pool, { jobId, chunk, attempt, counts, delayMs: 0, failure: null }, doneMs)),
      });
    }
    underWay.sort((a, b) => a.doneMs - b.doneMs);
    const next = underWay.shift();
    if (next === undefined)
      throw new Error(`nothing to do, and ${jobs.length - endedMs.size} jobs have not ended`);
    nowMs = next.doneMs;
    await next.report();
    for (const jobId of await counted(findEndingJobs(pool))) {
      if ((await endJob(pool, jobId)) === 'completed') endedMs.set(jobId, nowMs);
    }
  }
  return { claims, endedMs, mostRunning, statements };
}
