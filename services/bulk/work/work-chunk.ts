import type { KeyObject } from 'node:crypto';
import type { Pool } from 'pg';
import { applyItems, NotOursError } from '../../../shared/bulk/apply-items.ts';
import type { Application, NumberedItem } from '../../../shared/bulk/apply-statement.ts';
import { type AskOptions, askForItems } from '../../../shared/bulk/ask-for-items.ts';
import { loadBulkTable } from '../../../shared/bulk/bulk-table.ts';
import { countResults, doneItems, recordResults } from '../../../shared/bulk/ledger.ts';
import { toColumnParams } from '../../../shared/bulk/public-params.ts';
import { reserveQuota } from '../../../shared/control/bulk/bulk-quota.ts';
import { parseBulkRequest } from '../../../shared/control/bulk/bulk-request.ts';
import {
  beginItems,
  type ClaimedChunk,
  releaseChunk,
  renewChunk,
} from '../../../shared/control/bulk/claim-chunk.ts';
import { pauseForQuota } from '../../../shared/control/bulk/end-job.ts';
import { pauseForHandler } from '../../../shared/control/bulk/pause-job.ts';
import { type ChunkReport, reportChunk } from '../../../shared/control/bulk/report-chunk.ts';
import { BULK_LEASE_SECONDS } from '../../../shared/control/leases.ts';
import { parseFilter } from '../../../shared/domain/bulk-filter.ts';
import type { Catalog } from '../../../shared/domain/catalog.ts';
import { type LeaseRenewer, renewLease } from '../../../shared/runtime/lease-renewer.ts';
import { sleep } from '../../../shared/runtime/sleep.ts';
import { findJobOperation } from '../find-job-operation.ts';
import { countedFailure, JobFailedError, retryDelayMs, SourceQueryError } from '../job-failures.ts';
import type { BulkMetrics } from '../metrics.ts';
import { splitItems } from './chunk-items.ts';
import type { ChunkOutcome } from './chunk-outcome.ts';
import type { TransactionSize } from './transaction-size.ts';

export interface WorkDeps {
  readonly control: Pool;
  readonly source: Pool;
  readonly catalog: Catalog;
  readonly httpConcurrency: number;
  /** How long items are retried whose rows are locked, before they fail. */
  readonly heldRowMs: number;
  /** How long a job waits for an unavailable handler, before it fails. */
  readonly handlerAwayMs: number;
  /** Keys that sign requests to handlers. */
  readonly signingKeys: readonly KeyObject[];
  readonly metrics: Pick<BulkMetrics, 'counted' | 'asked'>;
  now(): number;
  readonly size: TransactionSize;
  /** Called with the time that the source spent on the chunk. */
  onApplied(durationMs: number): void;
  /** Called for each response of a handler. */
  onAnswered(): void;
}

/** Delay of a chunk for which the reservations of other chunks leave no quota. */
const QUOTA_DELAY_MS = 200;

/** Delay of a chunk whose last rows are locked: a quarter of the time that it has waited, within these bounds. */
const HELD_DELAY = { part: 1 / 4, minMs: 500, maxMs: 10_000 };

/** Limit of a statement with several items, which bounds how long rows stay locked. One item may take what the pool allows. */
const STATEMENT_LIMIT_MS = 1_500;

/**
 * Works on the remaining items of a chunk and reports it. Whatever happens, the report states what the ledger holds.
 *
 * @throws JobFailedError when no worker can continue the job; or the error of this attempt. The chunk is released first
 */
export async function workChunk(
  claim: ClaimedChunk,
  deps: WorkDeps,
  stopping: AbortSignal,
): Promise<ChunkOutcome> {
  const { control, source } = deps;
  const startedAtMs = performance.now();
  const endSeq = claim.firstSeq + claim.items.length;
  const report = async (how: Pick<ChunkReport, 'delayMs' | 'failure' | 'heldMs'>) => {
    const counts = await asked(countResults(source, claim.jobId, claim.firstSeq, endSeq));
    const { jobId, chunk, attempt } = claim;
    const added = await reportChunk(control, { jobId, chunk, attempt, counts, ...how }, deps.now());
    if (added !== undefined) deps.metrics.counted(added);
    return added !== undefined;
  };
  await using lease = renewLease({
    leaseSeconds: BULK_LEASE_SECONDS,
    renew: () => renewChunk(control, claim),
    stopping,
  });
  let outcome: ChunkOutcome;
  try {
    outcome = await work(claim, deps, lease, () => report({ delayMs: null }));
  } catch (error) {
    const wasCalledOff = error instanceof NotOursError || lease.signal.aborted;
    const isOurs = await giveBack(claim, deps, report, wasCalledOff ? undefined : error);
    if (wasCalledOff) return isOurs ? 'worked' : 'lost';
    throw error;
  }
  const waitedMs = claim.heldBeforeMs + performance.now() - startedAtMs;
  const delayMs =
    outcome === 'waiting_for_quota' ? QUOTA_DELAY_MS : outcome === 'rows_held' ? heldDelayMs(waitedMs) : 0;
  const heldMs = outcome === 'rows_held' ? Math.round(waitedMs + delayMs) : undefined;
  const failure = outcome === 'handler_silent' ? HANDLER_AWAY : null;
  const isOurs = await report({ delayMs, failure, heldMs });
  return isOurs ? outcome : 'lost';
}

function heldDelayMs(waitedMs: number): number {
  return Math.round(Math.min(HELD_DELAY.maxMs, Math.max(HELD_DELAY.minMs, waitedMs * HELD_DELAY.part)));
}

/**
 * Releases a chunk whose attempt failed. If the ledger cannot be read, the counts stay as they are until the next attempt.
 * Without the release, the chunk would wait for the end of its lease. @returns whether this worker still had the claim
 */
async function giveBack(
  claim: ClaimedChunk,
  { control }: WorkDeps,
  report: (how: Pick<ChunkReport, 'delayMs' | 'failure'>) => Promise<boolean>,
  error: unknown,
): Promise<boolean> {
  const delayMs = error === undefined ? 0 : retryDelayMs(claim.failureCount);
  const failure = countedFailure(error);
  try {
    return await report({ delayMs, failure });
  } catch (cause) {
    return releaseChunk(control, claim, delayMs || retryDelayMs(0), failure ?? countedFailure(cause));
  }
}

/** Wraps an error of the source in SourceQueryError, except cancellation and a failed job. */
async function asked<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    throw error instanceof NotOursError || error instanceof JobFailedError
      ? error
      : new SourceQueryError(error);
  }
}

async function work(
  claim: ClaimedChunk,
  deps: WorkDeps,
  lease: LeaseRenewer,
  reportProgress: () => Promise<boolean>,
): Promise<ChunkOutcome> {
  const { control, source } = deps;
  const { jobId, firstSeq } = claim;
  const application = await asked(applicationOf(claim, deps));
  // A first attempt finds nothing done, so it saves the statement.
  const done =
    claim.attempt === 1
      ? new Set<number>()
      : await asked(doneItems(source, jobId, firstSeq, firstSeq + claim.items.length));
  const { decided, open } = splitItems(claim, done);
  await asked(recordResults(source, jobId, decided));
  if (open.length === 0) return 'worked';
  // After `done` was read: the open items are in the next reservation, so that each item counts once.
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
      const how = application.operation.kind === 'http' ? askHandler : changeRows;
      // Reports progress during the work, so that clients see it and `max_failures` takes effect.
      return whileReporting(() => how(application, granted, claim, deps, lease), reportProgress);
    }
  }
}

/** Counted failure of an attempt that got no response for any item from an unavailable handler. */
const HANDLER_AWAY = 'handler_away';

/** After this many in a row, while the handler responds for other items of the job, the items fail. */
const MAX_AWAY_ALONE = 3;

/** The same limit for the last items of a job, one or two minutes: a deployment rarely takes longer. */
const MAX_AWAY_AT_END = 10;

/** What a chunk does when its handler is unavailable. */
export function whenAway({
  isHandlerAway,
  isRestOfJob,
  lastFailure,
  failureCount,
}: Pick<
  ClaimedChunk,
  'isHandlerAway' | 'isRestOfJob' | 'lastFailure' | 'failureCount'
>): AskOptions['whenAway'] {
  const timesAway = lastFailure === HANDLER_AWAY ? failureCount : 0;
  if (isRestOfJob && timesAway >= MAX_AWAY_AT_END) return 'fail';
  if (isHandlerAway) return 'probe';
  return timesAway >= MAX_AWAY_ALONE ? 'fail' : 'leave';
}

/** Each probe begins with another item: an item that always fails must not hide that the handler is back. */
export function probedFirst(
  items: readonly NumberedItem[],
  { lastFailure, failureCount }: Pick<ClaimedChunk, 'lastFailure' | 'failureCount'>,
): NumberedItem[] {
  const first = lastFailure === HANDLER_AWAY ? failureCount % items.length : 0;
  return [...items.slice(first, first + 1), ...items.slice(0, first), ...items.slice(first + 1)];
}

/** Asks the operation's handler for the items. */
async function askHandler(
  application: Application,
  items: readonly NumberedItem[],
  claim: ClaimedChunk,
  { control, source, httpConcurrency, handlerAwayMs, signingKeys, metrics, onAnswered }: WorkDeps,
  lease: LeaseRenewer,
): Promise<ChunkOutcome> {
  const { away } = await asked(
    askForItems(application, probedFirst(items, claim), {
      source,
      signingKeys,
      onAnswered,
      onCalled: metrics.asked,
      whenAway: whenAway(claim),
      signal: lease.lost,
      calledOff: lease.signal,
      concurrency: httpConcurrency,
      begin: (next: readonly NumberedItem[]) =>
        beginItems(
          control,
          claim,
          next.map(({ seq }) => seq),
        ),
    }),
  );
  // The next attempt asks again for items without a response; if the job ends first, the scheduler records them.
  if (away === undefined) return 'worked';
  await pauseForHandler(control, claim.jobId, { retryAfterMs: away.retryAfterMs, maxAwayMs: handlerAwayMs });
  return away.hasAnswered ? 'handler_away' : 'handler_silent';
}

/** Changes the items' rows in the source. */
async function changeRows(
  application: Application,
  items: readonly NumberedItem[],
  claim: ClaimedChunk,
  { source, size, heldRowMs, onApplied }: WorkDeps,
  lease: LeaseRenewer,
): Promise<ChunkOutcome> {
  const startedAtMs = performance.now();
  const held = await asked(
    applyItems(application, items, {
      source,
      signal: lease.signal,
      isStillOurs: lease.isHeld,
      isAnnounced: true,
      whenHeld: claim.heldBeforeMs < heldRowMs ? 'leave' : 'fail',
      size,
      statementLimitMs: (count) => (count > 1 ? STATEMENT_LIMIT_MS : undefined),
    }),
  );
  onApplied(performance.now() - startedAtMs);
  return held.size > 0 ? 'rows_held' : 'worked';
}

async function applicationOf(claim: ClaimedChunk, { source, catalog }: WorkDeps): Promise<Application> {
  const request = parseBulkRequest(claim.request);
  const { params, filter, semantics } = request;
  const { resource, operation } = findJobOperation(catalog, request);
  return {
    jobId: claim.jobId,
    table: await loadBulkTable(source, resource),
    operation,
    params: toColumnParams(resource, operation, params),
    liveFilter: semantics === 'live' && filter !== null ? parseFilter(filter) : undefined,
    sourceId: claim.sourceId,
  };
}

/** Between two reports of progress, and so between two checks of `max_failures`. */
const REPORT_MS = 1_000;

/**
 * Does the work and reports progress during it, one report at a time: a report saved after a newer one would make counts go
 * down. A failed report is skipped, because the report at the end has everything.
 */
async function whileReporting<T>(work: () => Promise<T>, report: () => Promise<unknown>): Promise<T> {
  const over = new AbortController();
  const loop = async () => {
    while (!over.signal.aborted) {
      await sleep(REPORT_MS, over.signal);
      if (!over.signal.aborted) await report().catch(() => undefined);
    }
  };
  const reporting = loop();
  try {
    return await work();
  } finally {
    over.abort();
    await reporting;
  }
}
