import type { Pool } from 'pg';
import { applyItems, NotOursError } from '../../../shared/bulk/apply-items.ts';
import type { Application, NumberedItem } from '../../../shared/bulk/apply-statement.ts';
import { askForItems } from '../../../shared/bulk/ask-for-items.ts';
import { loadBulkTable } from '../../../shared/bulk/bulk-table.ts';
import { countResults, doneItems, type NotedResult, noteResults } from '../../../shared/bulk/ledger.ts';
import { findOperation } from '../../../shared/bulk/operation.ts';
import { showItemId } from '../../../shared/domain/bulk.ts';
import { parseFilter } from '../../../shared/domain/bulk-filter.ts';
import { type Catalog, findResource } from '../../../shared/domain/catalog.ts';
import { JobFailedError } from '../job-failed-error.ts';
import { type Pulse, startPulse } from '../pulse.ts';
import { beginItems } from '../store/begin-items.ts';
import { type ClaimedChunk, renewChunk } from '../store/claim-chunk.ts';
import { pauseForQuota } from '../store/end-job.ts';
import { reportChunk } from '../store/report-chunk.ts';
import { reserveQuota } from '../store/reserve-quota.ts';
import type { TransactionSize } from './transaction-size.ts';
import { whileReporting } from './while-reporting.ts';

export interface WorkDeps {
  readonly control: Pool;
  readonly source: Pool;
  readonly catalog: Catalog;
  readonly httpConcurrency: number;
  now(): number;
  readonly size: TransactionSize;
  /** Told how long the source was busy with the chunk. */
  onApplied(durationMs: number): void;
}

/** How a try of a chunk went. */
export type ChunkOutcome = 'worked' | 'waiting_for_quota' | 'quota_exhausted' | 'lost';

/** A chunk that others' reservations leave nothing for is looked at again after this. */
const QUOTA_DELAY_MS = 200;

/** A chunk whose try failed is left alone this long. */
const RETRY_MS = 1_000;

/**
 * Works on what is left of a chunk and reports it. Whatever happens in between, the report says what the ledger holds by then.
 *
 * @throws JobFailedError when no worker could go on, or what went wrong this time; the chunk is given back first
 */
export async function workChunk(
  claim: ClaimedChunk,
  deps: WorkDeps,
  stopping: AbortSignal,
): Promise<ChunkOutcome> {
  const { control, source } = deps;
  const endSeq = claim.firstSeq + claim.items.length;
  const report = async (delayMs: number | null) => {
    const counts = await countResults(source, claim.jobId, claim.firstSeq, endSeq);
    return reportChunk(control, { ...claim, counts, delayMs }, deps.now());
  };
  await using pulse = startPulse(() => renewChunk(control, claim), stopping);
  let outcome: ChunkOutcome;
  try {
    outcome = await work(claim, deps, pulse, () => report(null));
  } catch (error) {
    const wasCalledOff = error instanceof NotOursError || pulse.signal.aborted;
    const isOurs = await report(wasCalledOff ? 0 : RETRY_MS);
    if (wasCalledOff) return isOurs ? 'worked' : 'lost';
    throw error;
  }
  const isOurs = await report(outcome === 'waiting_for_quota' ? QUOTA_DELAY_MS : 0);
  return isOurs ? outcome : 'lost';
}

async function work(
  claim: ClaimedChunk,
  deps: WorkDeps,
  pulse: Pulse,
  reportProgress: () => Promise<boolean>,
): Promise<ChunkOutcome> {
  const { control, source } = deps;
  const { jobId, firstSeq } = claim;
  const application = await applicationOf(claim, deps);
  // A first try finds nothing done; asking would cost it a statement.
  const done =
    claim.attempt === 1
      ? new Set<number>()
      : await doneItems(source, jobId, firstSeq, firstSeq + claim.items.length);
  const { decided, open } = splitItems(claim, done);
  await noteResults(source, jobId, decided);
  if (open.length === 0) return 'worked';
  // After the look at what is done: the others are in the reservation to come, and nothing is in neither.
  if (claim.reserved > 0 && !(await reportProgress())) return 'lost';
  const reservation = await reserveQuota(control, claim, open.length, deps.now());
  switch (reservation.kind) {
    case 'lost':
      return 'lost';
    case 'wait':
      return 'waiting_for_quota';
    case 'exhausted':
      await pauseForQuota(control, jobId);
      return 'quota_exhausted';
    case 'granted': {
      const granted = open.slice(0, reservation.count);
      if (application.operation.kind === 'http') {
        const options = {
          source,
          signal: pulse.lost,
          calledOff: pulse.signal,
          concurrency: deps.httpConcurrency,
          begin: (items: readonly NumberedItem[]) =>
            beginItems(
              control,
              claim,
              items.map(({ seq }) => seq),
            ),
        };
        // Items left without an answer are asked for again by the next try, or noted by whoever ends the job.
        await whileReporting(async () => {
          await askForItems(application, granted, options);
        }, reportProgress);
      } else {
        const startedAtMs = performance.now();
        await applyItems(application, granted, {
          source,
          signal: pulse.signal,
          isStillOurs: pulse.isAlive,
          isAnnounced: true,
          size: deps.size,
        });
        deps.onApplied(performance.now() - startedAtMs);
      }
      return 'worked';
    }
  }
}

async function applicationOf(claim: ClaimedChunk, { source, catalog }: WorkDeps): Promise<Application> {
  const { resource: resourceName, operation: operationName, params, filter, semantics } = claim.request;
  const resource = findResource(catalog, resourceName);
  const operation = resource && findOperation(resource, operationName);
  if (resource === undefined || operation === undefined) {
    throw new JobFailedError('operation_gone', 'The catalog has no such operation any more.');
  }
  return {
    jobId: claim.jobId,
    table: await loadBulkTable(source, resource),
    operation,
    params,
    liveFilter: semantics === 'live' && filter !== null ? parseFilter(filter) : undefined,
    sourceId: claim.sourceId,
  };
}

/** Items whose result needs no look at a row, and those that do, without what is done already. */
export function splitItems(
  { firstSeq, items }: Pick<ClaimedChunk, 'firstSeq' | 'items'>,
  done: ReadonlySet<number>,
): { decided: NotedResult[]; open: NumberedItem[] } {
  const decided: NotedResult[] = [];
  const open: NumberedItem[] = [];
  for (const [index, item] of items.entries()) {
    const seq = firstSeq + index;
    if (done.has(seq)) continue;
    const line = item.line ?? null;
    if ('key' in item) open.push({ seq, itemId: showItemId(item.key), key: item.key, line });
    else {
      const status = item.code === 'duplicate' ? 'skipped' : 'failed';
      decided.push({ seq, itemId: item.id, status, code: item.code, message: item.message ?? null, line });
    }
  }
  return { decided, open };
}
